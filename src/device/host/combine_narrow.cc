// The kernels of floats of 16 and 8 bits, once per instruction level.
#include "device/host/combine_levels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/host/combine_narrow.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "device/host/combine_loop-inl.hpp"
#include "device/host/combine_narrow_kinds-inl.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

using Functions = CombineLevel::Functions;

template <template <std::size_t> class Format>
constexpr Functions halves() {
  using Sum = NarrowKinds<Format, Add>;
  using Extreme = FloatExtremeKinds<std::int16_t>;
  constexpr CombineChooser kSum = choose_sum<Sum, ScaledKinds<Sum>>;
  return {kSum, choose<NarrowKinds<Format, Multiply>>, choose<Extreme>, choose<Extreme>, kSum};
}

template <template <std::size_t> class Sum, template <std::size_t> class Exact>
constexpr Functions octets() {
  using Extreme = FloatExtremeKinds<std::int8_t>;
  using Multiplied = ScaledKinds<NarrowKinds<Exact, Add>>;
#if HWY_TARGET == HWY_SCALAR
  constexpr CombineChooser kSum = choose_sum<NarrowKinds<Sum, Add>, Multiplied>;
#else
  constexpr CombineChooser kSum = choose_sum<NarrowKinds<Sum, Add>, Multiplied, TabledKinds<Sum, Exact>>;
#endif
  return {kSum, choose<NarrowKinds<Exact, Multiply>>, choose<Extreme>, choose<Extreme>, kSum};
}

constinit const Functions kHalf = halves<Half>();
constinit const Functions kBfloat = halves<Bfloat>();
constinit const Functions kOctets[2] = {octets<E4M3Sum, E4M3>(), octets<E5M2Sum, E5M2>()};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();
