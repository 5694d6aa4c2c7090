// How floats of 16 and 8 bits become fp32 and back, without crossing lanes where it can be helped. Included
// once per instruction level, inside Highway's include scheme.
//
// Rounding is to nearest, ties to even; a NaN becomes 0x7fff or 0x7f. fp16 and bf16 overflow to infinity, fp8
// saturates. No step depends on the processor's mode for denormals but bf16's, whose denormals are fp32's.
#if defined(HANSA_COMBINE_NARROW_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_NARROW_INL
#undef HANSA_COMBINE_NARROW_INL
#else
#define HANSA_COMBINE_NARROW_INL
#endif

#include <bit>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The bytes of a whole vector.
constexpr std::size_t kVector = hn::MaxLanes(hn::ScalableTag<std::uint8_t>());

// Vectors of kBytes, or of one lane where the machine has no vectors.
template <class T, std::size_t kBytes>
using Tag = hn::CappedTag < T,
      kBytes<sizeof(T) ? 1 : kBytes / sizeof(T)>;

// Vectors of fp32 and their bits.
template <std::size_t kBytes>
struct Lanes {
  using WideTag = Tag<float, kBytes>;
  using BitsTag = Tag<std::uint32_t, kBytes>;
  using Wide = hn::Vec<WideTag>;
  using Bits = hn::Vec<BitsTag>;
  static constexpr std::size_t kUnit = hn::MaxLanes(WideTag()) * 4;

  static HWY_INLINE Bits all(std::uint32_t value) { return hn::Set(BitsTag(), value); }
  static HWY_INLINE Wide as_wide(Bits bits) { return hn::BitCast(WideTag(), bits); }
  static HWY_INLINE Bits as_bits(Wide wide) { return hn::BitCast(BitsTag(), wide); }
  static HWY_INLINE auto is_nan(Wide wide) { return hn::RebindMask(BitsTag(), hn::IsNaN(wide)); }
};

// A code widens from the top of 32 bits, with other bits below, to fp32, and narrows to the bottom of 32
// bits.
template <class L>
struct BfloatCode {
  static constexpr int kBits = 16;

  static HWY_INLINE auto widen(typename L::Bits top) { return L::as_wide(hn::And(top, L::all(0xffff0000))); }
  static HWY_INLINE auto narrow(typename L::Wide value) {
    const auto bits = L::as_bits(value);
    return hn::ShiftRight<16>(hn::IfThenElse(L::is_nan(value), L::all(0x7fff0000), carried(bits)));
  }
  // A NaN stays one, because what it came from has nothing in the lower half.
  static HWY_INLINE auto rounded(typename L::Wide value) {
    return L::as_wide(hn::And(carried(L::as_bits(value)), L::all(0xffff0000)));
  }

 private:
  static HWY_INLINE auto carried(typename L::Bits bits) {
    const auto odd = hn::And(hn::ShiftRight<16>(bits), L::all(1));
    return hn::Add(bits, hn::Add(odd, L::all(0x7fff)));
  }
};

// kLimit: the magnitude, as fp32 bits, at which the code stops growing. kInfinity: the least code that is not
// a finite number.
template <class L, int kExponent, int kMantissa, std::uint32_t kLimit, std::uint32_t kInfinity>
class SmallCode {
 public:
  static constexpr int kBits = 1 + kExponent + kMantissa;
  // The least normal number, as fp32 bits.
  static constexpr std::uint32_t kLeast = (127 - ((1 << (kExponent - 1)) - 1) + 1) << 23;
  using Bits = typename L::Bits;

  static HWY_INLINE auto widen(Bits top) {
    // Exponent and mantissa, where fp32 has them.
    const Bits field = hn::And(hn::ShiftRight<8 - kExponent>(top), L::all(kNan << kDown));
    const Bits normal = hn::Add(field, L::all(kLeast - kStep));
    // A denormal is what its mantissa adds to the least normal number.
    const Bits raised = hn::Add(field, L::all(kLeast));
    const Bits denormal = L::as_bits(hn::Sub(L::as_wide(raised), L::as_wide(L::all(kLeast))));
    const Bits finite = hn::IfThenElse(less(field, kStep), denormal, normal);
    const Bits infinite = hn::Or(field, L::all(0x7f800000));
    const Bits magnitude = hn::IfThenElse(less(field, kInfinity << kDown), finite, infinite);
    return L::as_wide(hn::Or(magnitude, hn::And(top, L::all(kSign))));
  }

  // Adding a power of two so large that the sum's last bit weighs as much as the code's rounds in hardware.
  static HWY_INLINE Bits narrow(typename L::Wide value) {
    const Bits bits = L::as_bits(value);
    const Bits magnitude = at_most(hn::And(bits, L::all(~kSign)), kLimit);
    const Bits exponent = at_least(hn::And(magnitude, L::all(0x7f800000)), kLeast);
    const Bits large = hn::Add(exponent, L::all(kDown * kStep));
    const Bits sum = L::as_bits(hn::Add(L::as_wide(magnitude), L::as_wide(large)));
    const Bits exponent_field = hn::ShiftRight<kDown>(hn::Sub(exponent, L::all(kLeast)));
    const Bits code = hn::Add(exponent_field, hn::Sub(sum, large));
    const Bits sign = hn::ShiftRight<32 - kBits>(hn::And(bits, L::all(kSign)));
    return hn::IfThenElse(L::is_nan(value), L::all(kNan), hn::Or(code, sign));
  }
  static HWY_INLINE auto rounded(typename L::Wide value) {
    return widen(hn::ShiftLeft<32 - kBits>(narrow(value)));
  }

 private:
  static constexpr int kDown = 23 - kMantissa;  // from fp32's mantissa to the code's
  static constexpr std::uint32_t kSign = 1u << 31, kStep = 1u << 23, kNan = (1u << (kBits - 1)) - 1;

  // Magnitudes are below 2^31, where the signed operations that every machine has will do.
  using SignedTag = hn::RebindToSigned<typename L::BitsTag>;
  static HWY_INLINE auto as_signed(Bits v) { return hn::BitCast(SignedTag(), v); }
  static HWY_INLINE auto less(Bits a, std::uint32_t b) {
    return hn::RebindMask(typename L::BitsTag(), hn::Lt(as_signed(a), as_signed(L::all(b))));
  }
  static HWY_INLINE Bits at_most(Bits a, std::uint32_t b) {
    return hn::BitCast(typename L::BitsTag(), hn::Min(as_signed(a), as_signed(L::all(b))));
  }
  static HWY_INLINE Bits at_least(Bits a, std::uint32_t b) {
    return hn::BitCast(typename L::BitsTag(), hn::Max(as_signed(a), as_signed(L::all(b))));
  }
};

inline constexpr float kGreatestE4M3 = 448, kGreatestE5M2 = 57344;
template <class L>
using HalfCode = SmallCode<L, 5, 10, std::bit_cast<std::uint32_t>(65536.0f), 0x7c00>;
template <class L>
using E4M3Code = SmallCode<L, 4, 3, std::bit_cast<std::uint32_t>(kGreatestE4M3), 0x7f>;
template <class L>
using E5M2Code = SmallCode<L, 5, 2, std::bit_cast<std::uint32_t>(kGreatestE5M2), 0x7c>;

// A 32-bit lane holds 2 or 4 elements; part p of a unit is the p-th of every lane.
template <template <class> class CodeOf, std::size_t kBytes>
struct Packed : Lanes<kBytes> {
  using L = Lanes<kBytes>;
  using Code = CodeOf<L>;
  static constexpr std::size_t kParts = 32 / Code::kBits, kElement = Code::kBits / 8;
  using Parts = typename L::Wide[kParts];

  static HWY_INLINE void load(const std::byte* from, Parts& parts) {
    split(hn::LoadU(typename L::BitsTag(), reinterpret_cast<const std::uint32_t*>(from)), parts);
  }
  template <bool kStream>
  static HWY_INLINE void store(const Parts& parts, std::byte* to) {
    auto* const lanes = reinterpret_cast<std::uint32_t*>(to);
    if constexpr (kStream)
      hn::Stream(joined(parts), typename L::BitsTag(), lanes);
    else
      hn::StoreU(joined(parts), typename L::BitsTag(), lanes);
  }
  static HWY_INLINE auto rounded(typename L::Wide value) { return Code::rounded(value); }

 private:
  template <std::size_t p = 0>
  static HWY_INLINE void split(typename L::Bits packed, Parts& parts) {
    parts[p] = Code::widen(hn::ShiftLeft<Code::kBits*(kParts - 1 - p)>(packed));
    if constexpr (p + 1 < kParts) split<p + 1>(packed, parts);
  }
  template <std::size_t p = 0>
  static HWY_INLINE auto joined(const Parts& parts) {
    const auto code = hn::ShiftLeft<Code::kBits * p>(Code::narrow(parts[p]));
    if constexpr (p + 1 < kParts)
      return hn::Or(code, joined<p + 1>(parts));
    else
      return code;
  }
};

#if HWY_TARGET == HWY_SCALAR
template <std::size_t kBytes>
using Half = Packed<HalfCode, kBytes>;
template <std::size_t kBytes>
using E4M3 = Packed<E4M3Code, kBytes>;
template <std::size_t kBytes>
using E5M2 = Packed<E5M2Code, kBytes>;
#else
// Where the machine converts fp16 itself, it does so from and to half a vector.
template <std::size_t kBytes>
struct Half : Lanes<kBytes> {
  using L = Lanes<kBytes>;
  using D = typename L::WideTag;
  using HalfTag = hn::Rebind<hwy::float16_t, D>;
  static constexpr std::size_t kParts = 2, kElement = 2;
  using Parts = typename L::Wide[kParts];

  static HWY_INLINE void load(const std::byte* from, Parts& parts) {
    const auto* const lanes = reinterpret_cast<const hwy::float16_t*>(from);
    parts[0] = hn::PromoteTo(D(), hn::LoadU(HalfTag(), lanes));
    parts[1] = hn::PromoteTo(D(), hn::LoadU(HalfTag(), lanes + hn::MaxLanes(D())));
  }
  template <bool kStream>
  static HWY_INLINE void store(const Parts& parts, std::byte* to) {
    const hn::Rebind<std::uint16_t, D> half;
    const hn::Twice<decltype(half)> whole;
    const auto both =
        hn::Combine(whole, hn::BitCast(half, narrow(parts[1])), hn::BitCast(half, narrow(parts[0])));
    auto* const lanes = reinterpret_cast<std::uint16_t*>(to);
    if constexpr (kStream)
      hn::Stream(both, whole, lanes);
    else
      hn::StoreU(both, whole, lanes);
  }
  // A NaN may be any, here and below: it is in the store that it becomes the one.
  static HWY_INLINE auto rounded(typename L::Wide value) {
    return hn::PromoteTo(D(), hn::DemoteTo(HalfTag(), value));
  }

 private:
  static HWY_INLINE auto narrow(typename L::Wide value) {
    const auto nan = L::as_wide(L::all(0x7fffffff));
    return hn::DemoteTo(HalfTag(), hn::IfThenElse(hn::IsNaN(value), nan, value));
  }
};

// Floats of 8 bits by way of fp16. An e5m2 is the upper byte of one; an e4m3 lies one bit lower in it, as
// 2^-8 of its value, denormals included.
template <std::size_t kBytes, int kMantissa>
struct Octet : Lanes<kBytes> {
  using L = Lanes<kBytes>;
  using D = typename L::WideTag;
  using Wide = typename L::Wide;
  using HalfTag = hn::Rebind<hwy::float16_t, D>;
  using HalfBits = hn::Rebind<std::uint16_t, D>;
  using PairTag = hn::Twice<HalfBits>;  // of one byte in two, widened
  using Pair = hn::Vec<PairTag>;
  static constexpr std::size_t kParts = 4, kElement = 1;
  static constexpr std::uint32_t kLeastNormal = kMantissa == 3 ? E4M3Code<L>::kLeast : E5M2Code<L>::kLeast;
  using Parts = Wide[kParts];

  static HWY_INLINE void load(const std::byte* from, Parts& parts) {
    const Pair bytes = hn::LoadU(PairTag(), reinterpret_cast<const std::uint16_t*>(from));
    widen(hn::ShiftLeft<8>(bytes), parts[0], parts[1]);
    widen(bytes, parts[2], parts[3]);
  }
  template <bool kStream>
  static HWY_INLINE void store(const Parts& parts, std::byte* to) {
    auto* const lanes = reinterpret_cast<std::uint16_t*>(to);
    const Pair even = narrow(parts[0], parts[1]), odd = narrow(parts[2], parts[3]);
    const Pair bytes = hn::Or(even, hn::ShiftLeft<8>(odd));
    if constexpr (kStream)
      hn::Stream(bytes, PairTag(), lanes);
    else
      hn::StoreU(bytes, PairTag(), lanes);
  }
  static HWY_INLINE Wide rounded(Wide value) {
    const Wide near = on_grid(value), greatest = hn::Set(D(), kGreatest);
    return hn::IfThenElse(hn::Gt(hn::Abs(near), greatest), hn::CopySign(greatest, near), near);
  }

 private:
  static constexpr bool kE4M3 = kMantissa == 3;
  static constexpr int kShift = kE4M3 ? 7 : 8;  // from an fp16 down to the code
  static constexpr float kGreatest = kE4M3 ? kGreatestE4M3 : kGreatestE5M2;
  static constexpr std::uint16_t kGreatestCode = kE4M3 ? 0x7e : 0x7b;

  static HWY_INLINE Pair all(int bits) { return hn::Set(PairTag(), static_cast<std::uint16_t>(bits)); }

  // From the upper bytes.
  static HWY_INLINE void widen(Pair top, Wide& low, Wide& high) {
    if constexpr (kE4M3) {
      const Pair lower =
          hn::BitCast(PairTag(), hn::ShiftRight<1>(hn::BitCast(hn::RebindToSigned<PairTag>(), top)));
      const Pair finite = hn::And(lower, all(0xbf80));
      const auto is_nan = hn::Eq(hn::And(finite, all(0x3f80)), all(0x3f80));
      promote(hn::IfThenElse(is_nan, all(0x7e00), finite), low, high);
      low = hn::Mul(low, hn::Set(D(), 256.0f));
      high = hn::Mul(high, hn::Set(D(), 256.0f));
    } else {
      promote(hn::And(top, all(0xff00)), low, high);
    }
  }
  static HWY_INLINE void promote(Pair halves, Wide& low, Wide& high) {
    low = hn::PromoteTo(D(), hn::BitCast(HalfTag(), hn::LowerHalf(HalfBits(), halves)));
    high = hn::PromoteTo(D(), hn::BitCast(HalfTag(), hn::UpperHalf(HalfBits(), halves)));
  }

  static HWY_INLINE Pair narrow(Wide low, Wide high) {
    const Pair halves = hn::Combine(PairTag(), half_of(high), half_of(low));
    const Pair magnitude = hn::And(halves, all(0x7fff));
    const auto is_nan = hn::Gt(hn::BitCast(hn::RebindToSigned<PairTag>(), magnitude),
                               hn::Set(hn::RebindToSigned<PairTag>(), 0x7c00));
    const Pair code = hn::Min(hn::ShiftRight<kShift>(magnitude), all(kGreatestCode));
    const Pair sign = hn::And(hn::ShiftRight<8>(halves), all(0x80));
    return hn::IfThenElse(hn::RebindMask(PairTag(), is_nan), all(0x7f), hn::Or(code, sign));
  }
  static HWY_INLINE auto half_of(Wide value) {
    Wide near = on_grid(value);
    if constexpr (kE4M3) near = hn::Mul(near, hn::Set(D(), 1.0f / 256));
    return hn::BitCast(HalfBits(), hn::DemoteTo(HalfTag(), near));
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
using E4M3 = Octet<kBytes, 3>;
template <std::size_t kBytes>
using E5M2 = Octet<kBytes, 2>;
#endif

template <std::size_t kBytes>
using Bfloat = Packed<BfloatCode, kBytes>;

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
