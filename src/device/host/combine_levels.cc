// Knows which of the instruction levels this machine runs.
#include "device/host/combine_levels.hpp"

#include <algorithm>

#include "hwy/detect_targets.h"

namespace hansa {
namespace {

// In the order of DataType.
#define HANSA_COMBINE_KERNELS(level)                                                                       \
  {                                                                                                        \
    &level::kIntegers[0], &level::kIntegers[1], &level::kIntegers[2], &level::kIntegers[3],                \
        &level::kIntegers[4], &level::kIntegers[5], &level::kHalf, &level::kFloats[0], &level::kFloats[1], \
        &level::kBfloat, &level::kOctets[0], &level::kOctets[1]                                            \
  }

constexpr CombineLevel kLevels[] = {
#if HWY_TARGETS & HWY_SCALAR
    {"scalar", HANSA_COMBINE_KERNELS(N_SCALAR)},
#endif
#if HWY_TARGETS & HWY_NEON
    {"neon", HANSA_COMBINE_KERNELS(N_NEON)},
#endif
#if HWY_TARGETS & HWY_AVX2
    {"avx2", HANSA_COMBINE_KERNELS(N_AVX2)},
#endif
#if HWY_TARGETS & HWY_AVX3
    {"avx512", HANSA_COMBINE_KERNELS(N_AVX3)},
#endif
};

}  // namespace

std::span<const CombineLevel> combine_levels() {
  std::size_t levels = std::size(kLevels);
#if HWY_ARCH_X86
  // Processors with AVX2 and FMA also have F16C.
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!avx2)
    levels = 1;
  else if (!avx512)
    levels = std::min<std::size_t>(levels, 2);
#endif
  return std::span(kLevels, levels);
}

}  // namespace hansa
