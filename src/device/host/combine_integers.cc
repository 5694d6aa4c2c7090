// The kernels of integers, once per instruction level.
#include "device/host/combine_levels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "device/host/combine_integers.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "device/host/combine_kinds-inl.hpp"
#include "device/host/combine_loop-inl.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

using Functions = CombineLevel::Functions;

template <class T, class Sum, class Product>
constexpr Functions integers() {
  return {choose_sum<Sum, ScaledKinds<Sum>>, choose<Product>,
          choose<IntegerExtremeKinds<std::make_signed_t<T>>>,
          choose<IntegerExtremeKinds<std::make_signed_t<T>>>, choose<AverageKinds<T>>};
}

template <class T>
constexpr Functions lanes() {
  using Bits = std::make_unsigned_t<T>;
  return integers<T, NativeKinds<Bits, Add>, NativeKinds<Bits, Multiply>>();
}

template <class T>
constexpr Functions bytes() {
  return integers<T, ByteKinds<Add>, ByteKinds<Multiply>>();
}

constinit const Functions kIntegers[6] = {bytes<std::int8_t>(),  bytes<std::uint8_t>(),
                                          lanes<std::int32_t>(), lanes<std::uint32_t>(),
                                          lanes<std::int64_t>(), lanes<std::uint64_t>()};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();
