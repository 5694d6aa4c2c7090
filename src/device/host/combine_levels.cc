// Compiles the kernels once per instruction level and knows which of them this machine runs.
#include <algorithm>

#include "device/host/combine.hpp"

// Highway would compile more levels than pay; the scalar one stands for every machine without the others.
#define HANSA_NOT_WORTH_IT \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#ifdef HANSA_SANITIZED  // one level of vectors is enough there, and takes long enough
#define HWY_DISABLED_TARGETS (HANSA_NOT_WORTH_IT | HWY_AVX3)
#else
#define HWY_DISABLED_TARGETS HANSA_NOT_WORTH_IT
#endif
// Its emulated vectors are miscompiled by g++ before 12.3.
#define HWY_BROKEN_EMU128 1
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/host/combine_levels.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "device/host/combine_kinds-inl.hpp"
#include "device/host/combine_loop-inl.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

using Functions = CombineLevel::Functions;

template <class Sum, class Product, class Extreme, class Average = Sum>
constexpr Functions functions() {
  return {choose<Sum>, choose<Product>, choose<Extreme>, choose<Extreme>, choose<Average>};
}

template <class T>
constexpr Functions integers() {
  using Bits = std::make_unsigned_t<T>;
  return functions<NativeKinds<Bits, Add>, NativeKinds<Bits, Multiply>,
                   IntegerExtremeKinds<std::make_signed_t<T>>, AverageKinds<T>>();
}

template <class T>
constexpr Functions bytes() {
  return functions<ByteKinds<Add>, ByteKinds<Multiply>, IntegerExtremeKinds<std::int8_t>, AverageKinds<T>>();
}

template <class T, class Signed>
constexpr Functions floats() {
  return functions<NativeKinds<T, Add>, NativeKinds<T, Multiply>, FloatExtremeKinds<Signed>>();
}

template <template <std::size_t> class Format, class Signed>
constexpr Functions narrow_floats() {
  return functions<NarrowKinds<Format, Add>, NarrowKinds<Format, Multiply>, FloatExtremeKinds<Signed>>();
}

// In the order of DataType.
constexpr CombineLevel::Kernels kKernels = {
    bytes<std::int8_t>(),
    bytes<std::uint8_t>(),
    integers<std::int32_t>(),
    integers<std::uint32_t>(),
    integers<std::int64_t>(),
    integers<std::uint64_t>(),
    narrow_floats<Half, std::int16_t>(),
    floats<float, std::int32_t>(),
    floats<double, std::int64_t>(),
    narrow_floats<Bfloat, std::int16_t>(),
    narrow_floats<E4M3, std::int8_t>(),
    narrow_floats<E5M2, std::int8_t>(),
};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hansa {

std::span<const CombineLevel> combine_levels() {
  static constexpr CombineLevel kLevels[] = {
#if HWY_TARGETS & HWY_SCALAR
    {"scalar", &N_SCALAR::kKernels},
#endif
#if HWY_TARGETS & HWY_NEON
    {"neon", &N_NEON::kKernels},
#endif
#if HWY_TARGETS & HWY_AVX2
    {"avx2", &N_AVX2::kKernels},
#endif
#if HWY_TARGETS & HWY_AVX3
    {"avx512", &N_AVX3::kKernels},
#endif
  };
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
#endif
