// The kernels of fp32 and fp64, once per instruction level.
#include "device/host/combine_levels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/host/combine_floats.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "device/host/combine_kinds-inl.hpp"
#include "device/host/combine_loop-inl.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

using Functions = CombineLevel::Functions;

template <class T, class Signed>
constexpr Functions floats() {
  using Sum = NativeKinds<T, Add>;
  using Extreme = FloatExtremeKinds<Signed>;
  constexpr CombineChooser kSum = choose_sum<Sum, ScaledKinds<Sum>>;
  return {kSum, choose<NativeKinds<T, Multiply>>, choose<Extreme>, choose<Extreme>, kSum};
}

constinit const Functions kFloats[2] = {floats<float, std::int32_t>(), floats<double, std::int64_t>()};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();
