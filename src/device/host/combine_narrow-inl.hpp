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
    const auto odd = hn::And(hn::ShiftRight<16>(bits), L::all(1));
    const auto rounded = hn::Add(bits, hn::Add(odd, L::all(0x7fff)));
    return hn::ShiftRight<16>(hn::IfThenElse(L::is_nan(value), L::all(0x7fff0000), rounded));
  }
};

// kLimit: the magnitude, as fp32 bits, at which the code stops growing. kInfinity: the least code that is not
// a finite number.
template <class L, int kExponent, int kMantissa, std::uint32_t kLimit, std::uint32_t kInfinity>
class SmallCode {
 public:
  static constexpr int kBits = 1 + kExponent + kMantissa;
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

 private:
  static constexpr int kDown = 23 - kMantissa;  // from fp32's mantissa to the code's
  static constexpr std::uint32_t kSign = 1u << 31, kStep = 1u << 23, kNan = (1u << (kBits - 1)) - 1;
  // The least normal number, as fp32 bits.
  static constexpr std::uint32_t kLeast = (127 - ((1 << (kExponent - 1)) - 1) + 1) * kStep;

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

template <class L>
using HalfCode = SmallCode<L, 5, 10, std::bit_cast<std::uint32_t>(65536.0f), 0x7c00>;
template <class L>
using E4M3Code = SmallCode<L, 4, 3, std::bit_cast<std::uint32_t>(448.0f), 0x7f>;
template <class L>
using E5M2Code = SmallCode<L, 5, 2, std::bit_cast<std::uint32_t>(57344.0f), 0x7c>;

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
  static HWY_INLINE auto rounded(typename L::Wide value) {
    return Code::widen(hn::ShiftLeft<32 - Code::kBits>(Code::narrow(value)));
  }

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
  static HWY_INLINE auto rounded(typename L::Wide value) { return hn::PromoteTo(D(), narrow(value)); }

 private:
  static HWY_INLINE auto narrow(typename L::Wide value) {
    const auto nan = L::as_wide(L::all(0x7fffffff));
    return hn::DemoteTo(HalfTag(), hn::IfThenElse(hn::IsNaN(value), nan, value));
  }
};

#endif

template <std::size_t kBytes>
using Bfloat = Packed<BfloatCode, kBytes>;
template <std::size_t kBytes>
using E4M3 = Packed<E4M3Code, kBytes>;
template <std::size_t kBytes>
using E5M2 = Packed<E5M2Code, kBytes>;

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
