// The Kinds (combine_kinds-inl.hpp) of floats of 16 and 8 bits: fp32 until the end. Included once per
// instruction level, inside Highway's include scheme.
#if defined(HANSA_COMBINE_NARROW_KINDS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_NARROW_KINDS_INL
#undef HANSA_COMBINE_NARROW_KINDS_INL
#else
#define HANSA_COMBINE_NARROW_KINDS_INL
#endif

#include <algorithm>
#include <limits>

#include "device/host/combine_kinds-inl.hpp"
#include "device/host/combine_narrow-inl.hpp"
#include "hansa/device.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

template <class Format, class Op>
class Narrow {
 public:
  using D = typename Format::WideTag;
  using Out = typename Format::Out;
  static constexpr std::size_t kElement = Format::kElement, kUnit = Format::kUnit;
  static constexpr std::size_t kUnroll = unroll(Format::kParts == 2 ? 2 : 1);
  static constexpr bool kScales = false;
  struct Value {
    HWY_INLINE Value() {}
    typename Format::Parts part;
  };

  explicit HWY_INLINE Narrow(const CombineCall&) {}
  static HWY_INLINE Value load(const std::byte* from) {
    Value value;
    Format::load(from, value.part);
    return value;
  }
  HWY_INLINE void combine(Value& sum, const Value& value) const {
    for (std::size_t p = 0; p < Format::kParts; ++p) sum.part[p] = Op()(sum.part[p], value.part[p]);
  }
  // A NaN has nothing in the lower half, so that rounding leaves it one.
  static HWY_INLINE auto times(const Factor& factor) {
    const auto given = hn::Set(D(), element_of<float>(factor));
    return hn::IfThenElse(hn::IsNaN(given), hn::Set(D(), std::numeric_limits<float>::quiet_NaN()), given);
  }
  static HWY_INLINE Value scaled(const Value& value, hn::Vec<D> times) {
    Value product;
    for (std::size_t p = 0; p < Format::kParts; ++p)
      product.part[p] = Format::rounded(hn::Mul(value.part[p], times));
    return product;
  }
  static HWY_INLINE hn::Vec<Out> finish(const Value& value) { return Format::joined(value.part); }
};

template <template <std::size_t> class Format, class Op>
struct NarrowKinds {
  template <std::size_t kBytes>
  using Of = Narrow<Format<kBytes>, Op>;
  static constexpr bool kWide = Of<4>::kElement == 2;
  static constexpr bool kStreams = Simple::kStreams && kWide;
  static constexpr std::size_t kLeast = kWide ? 4 : kVector;
};

#if HWY_TARGET != HWY_SCALAR
// The products of all codes of 8 bits that have no sign.
template <class Format>
HWY_NOINLINE void multiply_codes(const Factor& factor, std::byte (&products)[128]) {
  using Kind = Narrow<Format, Multiply>;
  for (int code = 0; code < 128; ++code) products[code] = static_cast<std::byte>(code);
  for (std::size_t at = 0; at < 128; at += Kind::kUnit) {
    const auto value = Kind::scaled(Kind::load(products + at), Kind::times(factor));
    put<false>(typename Kind::Out(), Kind::finish(value), products + at);
  }
}

// Sums of floats of 8 bits whose sources are multiplied by one number, or not at all: a product is looked up.
template <class Sum, class Exact>
class TabledOctet : public Narrow<Sum, Add> {
 public:
  using Value = typename Narrow<Sum, Add>::Value;
  using Out = typename Sum::Out;
  static constexpr bool kScales = true;

  explicit HWY_INLINE TabledOctet(const CombineCall& call)
      : Narrow<Sum, Add>(call), tables_(tables_for(call)) {}
  struct Times {};  // is in the tables
  static HWY_INLINE Times times(const Factor&) { return {}; }
  using Narrow<Sum, Add>::load;
  HWY_INLINE Value load(const std::byte* from, Times) const {
    Value value;
    Sum::widen(products(get(Out(), from)), value.part);
    return value;
  }

 private:
  using Bytes = hn::Vec<Out>;
  static constexpr std::size_t kTables = 8;

  struct Tables {
    HWY_INLINE Tables() {}
    Bytes at[kTables];
  };

  static HWY_INLINE Tables tables_for(const CombineCall& call) {
    const auto scales = [](const Factor& factor) { return factor.scales(); };
    const auto given = std::find_if(call.factors.begin(), call.factors.end(), scales);
    alignas(64) std::byte products[128];
    multiply_codes<Exact>(given == call.factors.end() ? Factor() : *given, products);
    Tables tables;
    for (std::size_t t = 0; t < kTables; ++t)
      tables.at[t] = hn::LoadDup128(Out(), reinterpret_cast<const std::uint8_t*>(products + 16 * t));
    return tables;
  }
  static HWY_INLINE Bytes all(std::uint8_t byte) { return hn::Set(Out(), byte); }

  HWY_INLINE Bytes products(Bytes codes) const {
    const Bytes low = hn::And(codes, all(0x0f));
    const auto bit4 = hn::TestBit(codes, all(0x10));
    const auto of_pair = [&](std::size_t t) {
      return hn::IfThenElse(bit4, hn::TableLookupBytes(tables_.at[t + 1], low),
                            hn::TableLookupBytes(tables_.at[t], low));
    };
    const auto bit5 = hn::TestBit(codes, all(0x20));
    const Bytes lower = hn::IfThenElse(bit5, of_pair(2), of_pair(0));
    const Bytes upper = hn::IfThenElse(bit5, of_pair(6), of_pair(4));
    const Bytes product = hn::IfThenElse(hn::TestBit(codes, all(0x40)), upper, lower);
    return hn::Xor(product, hn::And(codes, all(0x80)));
  }

  const Tables tables_;
};

template <template <std::size_t> class Sum, template <std::size_t> class Exact>
struct TabledKinds {
  template <std::size_t kBytes>
  using Of = TabledOctet<Sum<kBytes>, Exact<kBytes>>;
  static constexpr bool kStreams = false;
  static constexpr std::size_t kWorthIt = 2048;  // elements: fewer are multiplied before the table is made
};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
