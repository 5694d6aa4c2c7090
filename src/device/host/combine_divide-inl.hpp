// Division of lanes by a number that is the same for all: a multiplication by its reciprocal, which is exact
// for every dividend (T. Granlund and P. L. Montgomery, Division by Invariant Integers using Multiplication,
// 1994, figures 4.1 and 5.2). Included once per instruction level, inside Highway's include scheme.
#if defined(HANSA_COMBINE_DIVIDE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_DIVIDE_INL
#undef HANSA_COMBINE_DIVIDE_INL
#else
#define HANSA_COMBINE_DIVIDE_INL
#endif

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// D has unsigned lanes of 16, 32 or 64 bits. Divisors are at least 1 and may be too wide for a lane.
template <class D>
class Division {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;

  explicit HWY_INLINE Division(std::int64_t divisor) {
    const auto d = static_cast<std::uint64_t>(divisor);
    const bool reachable = d <= static_cast<T>(~T{0});
    const int log = reachable ? static_cast<int>(std::bit_width(d - 1)) : kBits;  // d <= 2^log
    const Wide fraction = reachable ? (((Wide{1} << log) - d) << kBits) / d + 1 : 0;
    reciprocal_ = hn::Set(D(), static_cast<T>(fraction));
    first_ = std::min(log, 1);
    second_ = std::max(log - 1, 0);
  }

  HWY_INLINE V operator()(V dividend) const {
    const V high = high_half(dividend);
    const V half = hn::ShiftRightSame(hn::Sub(dividend, high), first_);
    return hn::ShiftRightSame(hn::Add(high, half), second_);
  }

  // Of dividends in two's complement, towards zero.
  HWY_INLINE V signed_lanes(V dividend) const {
    const V sign = hn::BitCast(D(), hn::BroadcastSignBit(hn::BitCast(hn::RebindToSigned<D>(), dividend)));
    const V quotient = (*this)(hn::Sub(hn::Xor(dividend, sign), sign));
    return hn::Sub(hn::Xor(quotient, sign), sign);
  }

 private:
  static constexpr int kBits = 8 * sizeof(T);
  __extension__ using Widest = unsigned __int128;
  using Wide = std::conditional_t<sizeof(T) == 8, Widest, std::uint64_t>;

  // Of the products with the reciprocal.
  HWY_INLINE V high_half(V v) const {
    if constexpr (sizeof(T) == 2)
      return hn::MulHigh(v, reciprocal_);
    else if constexpr (hn::MaxLanes(D()) == 1)
      return hn::Set(D(), static_cast<T>(Wide{hn::GetLane(v)} * hn::GetLane(reciprocal_) >> kBits));
    else if constexpr (sizeof(T) == 4)
      return high_of_32(v);
    else
      return high_of_64(v);
  }

  HWY_INLINE V high_of_32(V v) const {
    const hn::Repartition<std::uint64_t, D> wide;
    const auto even = hn::MulEven(v, reciprocal_);
    const auto odd = hn::MulEven(hn::BitCast(D(), hn::ShiftRight<32>(hn::BitCast(wide, v))), reciprocal_);
    const auto upper = hn::And(odd, hn::Set(wide, ~std::uint64_t{0} << 32));
    return hn::BitCast(D(), hn::Or(hn::ShiftRight<32>(even), upper));
  }

  // From products of halves.
  HWY_INLINE V high_of_64(V v) const {
    const hn::Repartition<std::uint32_t, D> halves;
    const auto product = [&](V a, V b) {
      return hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, b));
    };
    const V low_mask = hn::Set(D(), 0xffffffffu);
    const V v_high = hn::ShiftRight<32>(v), r_high = hn::ShiftRight<32>(reciprocal_);
    const V crossed = hn::Add(product(v_high, reciprocal_), hn::ShiftRight<32>(product(v, reciprocal_)));
    const V carried = hn::Add(product(v, r_high), hn::And(crossed, low_mask));
    const V carries = hn::Add(hn::ShiftRight<32>(crossed), hn::ShiftRight<32>(carried));
    return hn::Add(product(v_high, r_high), carries);
  }

  V reciprocal_;
  int first_, second_;
};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
