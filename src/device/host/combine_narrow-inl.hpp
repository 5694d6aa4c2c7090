// How vectors of floats of 16 and 8 bits become fp32 and back, without crossing lanes where it can be helped;
// what combine_codes-inl.hpp says of the results holds here. Included once per instruction level, inside
// Highway's include scheme.
#if defined(HANSA_COMBINE_NARROW_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_NARROW_INL
#undef HANSA_COMBINE_NARROW_INL
#else
#define HANSA_COMBINE_NARROW_INL
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "device/host/combine_codes-inl.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
template <std::size_t kBytes>
using Bfloat = Packed<BfloatCode, kBytes>;
template <std::size_t kBytes>
using Half = Packed<HalfCode, kBytes>;
template <std::size_t kBytes>
using E4M3 = Packed<E4M3Code, kBytes>;
template <std::size_t kBytes>
using E5M2 = Packed<E5M2Code, kBytes>;
template <std::size_t kBytes>
using E4M3Sum = E4M3<kBytes>;
template <std::size_t kBytes>
using E5M2Sum = E5M2<kBytes>;
#else
// The lanes of `codes` whose magnitude is above `kInfinity` become the NaN of all bits but the sign.
template <int kInfinity, class D>
HWY_INLINE hn::Vec<D> one_nan(D d, hn::Vec<D> codes, hn::Vec<D> magnitudes_of) {
  using Signed = hn::RebindToSigned<D>;
  constexpr auto kMagnitude = std::numeric_limits<hn::TFromD<Signed> >::max();
  const auto magnitudes = hn::And(hn::BitCast(Signed(), magnitudes_of), hn::Set(Signed(), kMagnitude));
  const auto is_nan = hn::Gt(magnitudes, hn::Set(Signed(), kInfinity));
  return hn::IfThenElse(hn::RebindMask(d, is_nan), hn::BitCast(d, hn::Set(Signed(), kMagnitude)), codes);
}

// A 32-bit lane holds two elements; part p is the p-th of every lane. Two are rounded at once, as lanes of 16
// bits.
template <std::size_t kBytes>
struct Bfloat : Lanes<kBytes> {
  using L = Lanes<kBytes>;
  using Wide = typename L::Wide;
  using Out = hn::Repartition<std::uint16_t, typename L::WideTag>;
  static constexpr std::size_t kParts = 2, kElement = 2;
  using Parts = Wide[kParts];

  static HWY_INLINE void load(const std::byte* from, Parts& parts) {
    const auto bits = get(typename L::BitsTag(), from);
    parts[0] = L::as_wide(hn::ShiftLeft<16>(bits));
    parts[1] = BfloatCode<L>::widen(bits);
  }
  static HWY_INLINE auto joined(const Parts& parts) {
    const auto even = L::as_bits(parts[0]), odd = L::as_bits(parts[1]);
    const auto high = hn::OddEven(hn::BitCast(Out(), odd), hn::BitCast(Out(), hn::ShiftRight<16>(even)));
    const auto low = hn::OddEven(hn::BitCast(Out(), hn::ShiftLeft<16>(odd)), hn::BitCast(Out(), even));
    const auto one = hn::Set(Out(), 1);
    // Up where what is cut off is more than half a step; an odd code makes more of the half.
    const auto up = hn::Gt(hn::OrAnd(low, high, one), hn::Set(Out(), 0x8000));
    return one_nan<0x7f80>(Out(), hn::IfThenElse(up, hn::Add(high, one), high), high);
  }
  static HWY_INLINE Wide rounded(Wide value) { return BfloatCode<L>::rounded(value); }
};

// Where the machine converts fp16 itself, it does so from and to half a vector.
template <std::size_t kBytes>
struct Half : Lanes<kBytes> {
  using L = Lanes<kBytes>;
  using D = typename L::WideTag;
  using HalfTag = hn::Rebind<hwy::float16_t, D>;
  using HalfBits = hn::Rebind<std::uint16_t, D>;
  using Out = hn::Twice<HalfBits>;
  static constexpr std::size_t kParts = 2, kElement = 2;
  using Parts = typename L::Wide[kParts];

  static HWY_INLINE void load(const std::byte* from, Parts& parts) {
    const auto* const lanes = reinterpret_cast<const hwy::float16_t*>(from);
    parts[0] = hn::PromoteTo(D(), hn::LoadU(HalfTag(), lanes));
    parts[1] = hn::PromoteTo(D(), hn::LoadU(HalfTag(), lanes + hn::MaxLanes(D())));
  }
  static HWY_INLINE auto joined(const Parts& parts) {
    const auto both = hn::Combine(Out(), narrow(parts[1]), narrow(parts[0]));
    return one_nan<0x7c00>(Out(), both, both);
  }
  // A NaN may be any, here and below: it is when all is joined that it becomes the one.
  static HWY_INLINE auto rounded(typename L::Wide value) {
    return hn::PromoteTo(D(), hn::DemoteTo(HalfTag(), value));
  }

 private:
  static HWY_INLINE auto narrow(typename L::Wide value) {
    return hn::BitCast(HalfBits(), hn::DemoteTo(HalfTag(), value));
  }
};

// Floats of 8 bits by way of fp16. An e5m2 is the upper byte of one; an e4m3 lies one bit lower in it, as
// 2^-8 of its value, denormals included. kSums: for sums of such numbers, which are multiples of the least of
// them: parts stay 2^-8 of the value, and may be rounded to an fp16 first.
template <std::size_t kBytes, int kMantissa, bool kSums>
struct Octet : Lanes<kBytes> {
  using L = Lanes<kBytes>;
  using D = typename L::WideTag;
  using Wide = typename L::Wide;
  using HalfTag = hn::Rebind<hwy::float16_t, D>;
  using HalfBits = hn::Rebind<std::uint16_t, D>;
  using PairTag = hn::Twice<HalfBits>;  // of one byte in two, widened
  using Pair = hn::Vec<PairTag>;
  using Out = hn::Repartition<std::uint8_t, PairTag>;
  using Bytes = hn::Vec<Out>;
  static constexpr std::size_t kParts = 4, kElement = 1;
  using Parts = Wide[kParts];

  static HWY_INLINE void load(const std::byte* from, Parts& parts) { widen(get(Out(), from), parts); }
  static HWY_INLINE void widen(Bytes codes, Parts& parts) {
    const Pair pairs = hn::BitCast(PairTag(), codes);
    widen(hn::ShiftLeft<8>(pairs), parts[0], parts[1]);
    widen(pairs, parts[2], parts[3]);
  }
  static HWY_INLINE Bytes joined(const Parts& parts) {
    const Pair even = halves(parts[0], parts[1]), odd = halves(parts[2], parts[3]);
    const Bytes top = hn::OddEven(bytes(odd), bytes(hn::ShiftRight<8>(even)));
    const Bytes code = hn::OddEven(bytes(hn::ShiftLeft<8 - kShift>(carried(odd))),
                                   bytes(hn::ShiftRight<kShift>(carried(even))));
    const Bytes magnitude = kE4M3 ? code : hn::And(code, hn::Set(Out(), 0x7f));  // an e4m3 has lost its sign
    const Bytes finite = hn::Min(magnitude, hn::Set(Out(), kGreatestCode));
    return one_nan<0x7c>(Out(), hn::OrAnd(finite, top, hn::Set(Out(), 0x80)), top);
  }
  static HWY_INLINE Wide rounded(Wide value) {
    const Wide near = on_grid(value), greatest = hn::Set(D(), kGreatest);
    return hn::IfThenElse(hn::Gt(hn::Abs(near), greatest), hn::CopySign(greatest, near), near);
  }

 private:
  static constexpr bool kE4M3 = kMantissa == 3;
  static constexpr int kShift = kE4M3 ? 7 : 8;  // from an fp16 down to the code
  static constexpr float kGreatest = kE4M3 ? kGreatestE4M3 : kGreatestE5M2;
  static constexpr std::uint8_t kGreatestCode = kE4M3 ? 0x7e : 0x7b;
  static constexpr std::uint32_t kLeastNormal = kE4M3 ? E4M3Code<L>::kLeast : E5M2Code<L>::kLeast;

  static HWY_INLINE Pair all(int bits) { return hn::Set(PairTag(), static_cast<std::uint16_t>(bits)); }
  static HWY_INLINE Bytes bytes(Pair pairs) { return hn::BitCast(Out(), pairs); }

  // From the upper bytes. The NaN of e4m3, and no other code, carries into the bit that makes it one of fp16.
  static HWY_INLINE void widen(Pair top, Wide& low, Wide& high) {
    if constexpr (kE4M3) {
      const Pair lower =
          hn::BitCast(PairTag(), hn::ShiftRight<1>(hn::BitCast(hn::RebindToSigned<PairTag>(), top)));
      const Pair finite = hn::And(lower, all(0xbf80));
      promote(hn::OrAnd(finite, hn::Add(finite, all(0x80)), all(0x4000)), low, high);
      if constexpr (!kSums) {
        low = hn::Mul(low, hn::Set(D(), 256.0f));
        high = hn::Mul(high, hn::Set(D(), 256.0f));
      }
    } else {
      promote(hn::And(top, all(0xff00)), low, high);
    }
  }
  static HWY_INLINE void promote(Pair pairs, Wide& low, Wide& high) {
    low = hn::PromoteTo(D(), hn::BitCast(HalfTag(), hn::LowerHalf(HalfBits(), pairs)));
    high = hn::PromoteTo(D(), hn::BitCast(HalfTag(), hn::UpperHalf(HalfBits(), pairs)));
  }

  // Fp16s that round to the codes as the parts do.
  static HWY_INLINE Pair halves(Wide low, Wide high) {
    return hn::Combine(PairTag(), half_of(high), half_of(low));
  }
  static HWY_INLINE auto half_of(Wide value) {
    Wide near = kSums ? to_odd(value) : on_grid(value);
    if constexpr (kE4M3 && !kSums) near = hn::Mul(near, hn::Set(D(), 1.0f / 256));
    return hn::BitCast(HalfBits(), hn::DemoteTo(HalfTag(), near));
  }
  // Half a step is added, less one unless the code is odd.
  static HWY_INLINE Pair carried(Pair pairs) {
    const Pair odd = hn::And(hn::ShiftRight<kShift>(pairs), all(1));
    return hn::Add(pairs, hn::Add(odd, all((1 << (kShift - 1)) - 1)));
  }
  // To the bits of an fp16, the last of which is set if any below it was: so a second rounding, to fewer
  // bits, is as the only one (S. Boldo and G. Melquiond, Emulation of FMA and correctly rounded sums: proved
  // algorithms using rounding to odd, 2008). Sums have nothing below the denormals of fp16.
  static HWY_INLINE Wide to_odd(Wide value) {
    constexpr std::uint32_t kBelow = 0x1fff;
    const auto bits = L::as_bits(value);
    const auto carry = hn::Add(hn::And(bits, L::all(kBelow)), L::all(kBelow));
    return L::as_wide(hn::OrAnd(hn::And(bits, L::all(~kBelow)), carry, L::all(kBelow + 1)));
  }

  // Rounded to as many bits as the code has at that magnitude: adding a number whose last bit weighs as much
  // as the code's rounds in hardware. A half more keeps negative sums at the same exponent.
  static HWY_INLINE Wide on_grid(Wide value) {
    constexpr std::uint32_t kStep = 1u << 23, kExponents = 0x7f800000;
    constexpr std::uint32_t kMost = std::bit_cast<std::uint32_t>(kGreatest) & kExponents;
    using SignedTag = hn::RebindToSigned<typename L::BitsTag>;
    const auto number = [](std::uint32_t bits) {
      return hn::Set(SignedTag(), static_cast<std::int32_t>(bits));
    };
    const auto exponent = hn::And(hn::BitCast(SignedTag(), value), number(kExponents));
    const auto kept = hn::Min(hn::Max(exponent, number(kLeastNormal)), number(kMost));
    const Wide large = hn::BitCast(D(), hn::Add(kept, number((23 - kMantissa) * kStep + kStep / 2)));
    return hn::CopySign(hn::Sub(hn::Add(value, large), large), value);
  }
};

template <std::size_t kBytes>
using E4M3 = Octet<kBytes, 3, false>;
template <std::size_t kBytes>
using E5M2 = Octet<kBytes, 2, false>;
template <std::size_t kBytes>
using E4M3Sum = Octet<kBytes, 3, true>;
template <std::size_t kBytes>
using E5M2Sum = Octet<kBytes, 2, true>;
#endif

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
