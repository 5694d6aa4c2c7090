// How floats of 16 and 8 bits become fp32 and back by operations that every machine has, also one lane at a
// time. Included once per instruction level, inside Highway's include scheme.
//
// Rounding is to nearest, ties to even; a NaN becomes 0x7fff or 0x7f. fp16 and bf16 overflow to infinity, fp8
// saturates. No step depends on the processor's mode for denormals but bf16's, whose denormals are fp32's.
#if defined(HANSA_COMBINE_CODES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_CODES_INL
#undef HANSA_COMBINE_CODES_INL
#else
#define HANSA_COMBINE_CODES_INL
#endif

#include <bit>
#include <cstddef>
#include <cstdint>

#include "device/host/combine_lanes-inl.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

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
  using Out = typename L::BitsTag;

  static HWY_INLINE void load(const std::byte* from, Parts& parts) { split(get(Out(), from), parts); }
  static HWY_INLINE auto joined(const Parts& parts) { return join(parts); }
  static HWY_INLINE auto rounded(typename L::Wide value) { return Code::rounded(value); }

 private:
  template <std::size_t p = 0>
  static HWY_INLINE void split(typename L::Bits packed, Parts& parts) {
    parts[p] = Code::widen(hn::ShiftLeft<Code::kBits*(kParts - 1 - p)>(packed));
    if constexpr (p + 1 < kParts) split<p + 1>(packed, parts);
  }
  template <std::size_t p = 0>
  static HWY_INLINE auto join(const Parts& parts) {
    const auto code = hn::ShiftLeft<Code::kBits * p>(Code::narrow(parts[p]));
    if constexpr (p + 1 < kParts)
      return hn::Or(code, join<p + 1>(parts));
    else
      return code;
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
