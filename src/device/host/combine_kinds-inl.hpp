// What the combine kernels compute, by element type. Included once per instruction level, inside Highway's
// include scheme.
//
// A Kind works on vectors of kBytes, a unit of which is kUnit bytes of memory:
//   Value load(const std::byte*)        reads a unit, widened where the type is narrow
//   Value load(const std::byte*, Times) and multiplies it, rounded to the element type; where kScales
//   Times times(const Factor&)          what to multiply by
//   void combine(Value& sum, Value)     sum = sum op value
//   Vec<Out> finish(Value)              rounds once: a unit as it is written
// kUnroll units keep the machine busy.
#if defined(HANSA_COMBINE_KINDS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_KINDS_INL
#undef HANSA_COMBINE_KINDS_INL
#else
#define HANSA_COMBINE_KINDS_INL
#endif

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "device/host/combine_divide-inl.hpp"
#include "device/host/combine_lanes-inl.hpp"
#include "hansa/device.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

struct Add {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};

struct Multiply {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    using D = hn::DFromV<V>;
    if constexpr (std::is_same_v<hn::TFromD<D>, std::uint64_t> && hn::MaxLanes(D()) > 1)
      return wide(D(), a, b);
    else
      return hn::Mul(a, b);
  }

 private:
  // The low half of a 64-bit product, of 32-bit products.
  template <class D, class V>
  static HWY_INLINE V wide(D d, V a, V b) {
    const hn::Repartition<std::uint32_t, D> halves;
    const V a_high = hn::ShiftRight<32>(a), b_high = hn::ShiftRight<32>(b);
    const V crossed = hn::Add(hn::MulEven(hn::BitCast(halves, a_high), hn::BitCast(halves, b)),
                              hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, b_high)));
    return hn::Add(hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, b)), hn::ShiftLeft<32>(crossed));
  }
};

template <class T>
HWY_INLINE T element_of(const Factor& factor) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(factor.real);
  else
    return static_cast<T>(factor.integer);
}

// fp32, fp64 and integers of 32 and 64 bits: the lanes of the type, unsigned because wrapping is the same.
template <std::size_t kBytes, class T, class Op>
class Native {
 public:
  using D = Tag<T, kBytes>;
  using Value = hn::Vec<D>;
  static constexpr std::size_t kElement = sizeof(T), kUnit = hn::MaxLanes(D()) * sizeof(T),
                               kUnroll = unroll(4);
  static constexpr bool kScales = false;
  using Out = D;

  explicit HWY_INLINE Native(const CombineCall&) {}
  HWY_INLINE Value load(const std::byte* from) const { return get(D(), from); }
  HWY_INLINE void combine(Value& sum, Value value) const { sum = Op()(sum, value); }
  static HWY_INLINE auto times(const Factor& factor) { return hn::Set(D(), element_of<T>(factor)); }
  static HWY_INLINE Value scaled(Value value, hn::Vec<D> times) { return Multiply()(value, times); }
  HWY_INLINE Value finish(Value value) const { return value; }
};

// Integers of 8 bits: no machine multiplies them, so a 16-bit lane holds two in two registers. Only the low
// byte of each lane counts.
template <std::size_t kBytes, class Op>
class Byte {
 public:
  using D = Tag<std::uint16_t, kBytes>;
  struct Value {
    // Written out, because g++ compiles constructors of its own for the baseline.
    HWY_INLINE Value() {}
    HWY_INLINE Value(hn::Vec<D> e, hn::Vec<D> o) : even(e), odd(o) {}
    hn::Vec<D> even, odd;
  };
  static constexpr std::size_t kElement = 1, kUnit = hn::MaxLanes(D()) * 2, kUnroll = unroll(2);
  static constexpr bool kScales = false;
  using Out = D;

  explicit HWY_INLINE Byte(const CombineCall&) {}
  HWY_INLINE Value load(const std::byte* from) const {
    const auto both = get(D(), from);
    return {both, hn::ShiftRight<8>(both)};
  }
  HWY_INLINE void combine(Value& sum, Value value) const {
    sum = {Op()(sum.even, value.even), Op()(sum.odd, value.odd)};
  }
  static HWY_INLINE auto times(const Factor& factor) {
    return hn::Set(D(), element_of<std::uint16_t>(factor));
  }
  static HWY_INLINE Value scaled(const Value& value, hn::Vec<D> times) {
    return Value(hn::Mul(value.even, times), hn::Mul(value.odd, times));
  }
  HWY_INLINE hn::Vec<D> finish(const Value& value) const {
    const auto even = hn::And(value.even, hn::Set(D(), 0xff));
    return hn::Or(even, hn::ShiftLeft<8>(value.odd));
  }
};

// Averages of integers: the sum, divided when it is written.
template <std::size_t kBytes, class T>
class NativeAverage : public Native<kBytes, std::make_unsigned_t<T>, Add> {
 public:
  using Sum = Native<kBytes, std::make_unsigned_t<T>, Add>;
  using D = typename Sum::D;

  explicit HWY_INLINE NativeAverage(const CombineCall& call) : Sum(call), divide_(call.divisor) {}
  HWY_INLINE hn::Vec<D> finish(typename Sum::Value sum) const {
    return std::is_signed_v<T> ? divide_.signed_lanes(sum) : divide_(sum);
  }

 private:
  const Division<D> divide_;
};

template <std::size_t kBytes, class T>
class ByteAverage : public Byte<kBytes, Add> {
 public:
  using Sum = Byte<kBytes, Add>;
  using D = typename Sum::D;

  explicit HWY_INLINE ByteAverage(const CombineCall& call) : Sum(call), divide_(call.divisor) {}
  HWY_INLINE hn::Vec<D> finish(const typename Sum::Value& sum) const {
    return Sum::finish(typename Sum::Value(quotient(sum.even), quotient(sum.odd)));
  }

 private:
  HWY_INLINE hn::Vec<D> quotient(hn::Vec<D> sum) const {
    const auto top = hn::ShiftLeft<8>(sum);
    if constexpr (std::is_signed_v<T>)
      return divide_.signed_lanes(
          hn::BitCast(D(), hn::ShiftRight<8>(hn::BitCast(hn::RebindToSigned<D>(), top))));
    else
      return divide_(hn::ShiftRight<8>(top));
  }
  const Division<D> divide_;
};

// Max and Min of all types are the maximum of signed keys. Complementing the bits turns Min into Max,
// flipping the sign bit turns unsigned into signed.
template <std::size_t kBytes, class T>
class IntegerExtreme {
 public:
  using D = Tag<T, kBytes>;
  using Out = D;
  using Value = hn::Vec<D>;
  static constexpr std::size_t kElement = sizeof(T), kUnit = hn::MaxLanes(D()) * sizeof(T),
                               kUnroll = unroll(4);
  static constexpr bool kScales = false;

  explicit HWY_INLINE IntegerExtreme(const CombineCall& call) : flip_(hn::Set(D(), flip(call))) {}
  HWY_INLINE Value load(const std::byte* from) const { return hn::Xor(get(D(), from), flip_); }
  HWY_INLINE void combine(Value& sum, Value value) const { sum = hn::Max(sum, value); }
  HWY_INLINE Value finish(Value value) const { return hn::Xor(value, flip_); }

 private:
  static HWY_INLINE T flip(const CombineCall& call) {
    const bool is_unsigned =
        call.type == DataType::kUint8 || call.type == DataType::kUint32 || call.type == DataType::kUint64;
    const T sign = is_unsigned ? std::numeric_limits<T>::min() : T{0};
    return static_cast<T>(call.op == ReduceOp::kMin ? ~sign : sign);
  }
  const Value flip_;
};

// Floats keep their width: the bits, read as a sign and a magnitude, order as the numbers do, with -0 below
// +0. NaN is given the least key, so that any number beats it. T is the signed integer of the type's width.
template <std::size_t kBytes, class T>
class FloatExtreme {
 public:
  using D = Tag<T, kBytes>;
  using Out = D;
  using Value = hn::Vec<D>;
  static constexpr std::size_t kElement = sizeof(T), kUnit = hn::MaxLanes(D()) * sizeof(T),
                               kUnroll = unroll(2);
  static constexpr bool kScales = false;

  explicit HWY_INLINE FloatExtreme(const CombineCall& call)
      : flip_(hn::Set(D(), call.op == ReduceOp::kMin ? kSign : T{0})),
        greatest_(hn::Set(D(), static_cast<T>(kGreatest[static_cast<std::size_t>(call.type)]))) {}
  HWY_INLINE Value load(const std::byte* from) const {
    const Value bits = hn::Xor(get(D(), from), flip_);
    const auto is_nan = hn::Gt(hn::And(bits, hn::Set(D(), kMagnitude)), greatest_);
    return hn::IfThenElse(is_nan, hn::Set(D(), kSign), swap_order(bits));
  }
  HWY_INLINE void combine(Value& sum, Value value) const { sum = hn::Max(sum, value); }
  HWY_INLINE Value finish(Value value) const {
    const Value bits = hn::Xor(swap_order(value), flip_);
    const auto is_nan = hn::Eq(value, hn::Set(D(), kSign));
    return hn::IfThenElse(is_nan, hn::Set(D(), kMagnitude), bits);
  }

 private:
  static constexpr T kSign = std::numeric_limits<T>::min(), kMagnitude = std::numeric_limits<T>::max();
  // The greatest magnitude that is a number, by DataType.
  static constexpr std::uint64_t kGreatest[kDataTypes] = {
      0, 0, 0, 0, 0, 0, 0x7c00, 0x7f800000, 0x7ff0000000000000, 0x7f80, 0x7e, 0x7c};

  // From sign and magnitude to two's complement (less one, where negative) and back.
  static HWY_INLINE Value swap_order(Value v) {
    return hn::Xor(v, hn::And(hn::BroadcastSignBit(v), hn::Set(D(), kMagnitude)));
  }
  const Value flip_, greatest_;
};

// A Kind of sums whose sources are multiplied.
template <class Kind>
class Scaled : public Kind {
 public:
  static constexpr bool kScales = true;

  explicit HWY_INLINE Scaled(const CombineCall& call) : Kind(call) {}
  using Kind::load;
  template <class Times>
  HWY_INLINE typename Kind::Value load(const std::byte* from, Times times) const {
    return Kind::scaled(Kind::load(from), times);
  }
};

HWY_INLINE bool one_factor(const CombineCall& call) {
  const Factor* one = nullptr;
  for (const Factor& factor : call.factors) {
    if (!factor.scales()) continue;
    // By their bits: products by -0 are not those by 0.
    if (one != nullptr &&
        std::bit_cast<std::uint64_t>(factor.real) != std::bit_cast<std::uint64_t>(one->real))
      return false;
    one = &factor;
  }
  return true;
}

// The Kinds of one type and operation, by vector size. kLeast: the smallest vector that is worth its code for
// a short call. kStreams: whether memory, not arithmetic, is what bounds the speed.
struct Simple {
  static constexpr std::size_t kLeast = 4;
  static constexpr bool kStreams = kVector >= 32;
};
template <class T, class Op>
struct NativeKinds : Simple {
  template <std::size_t kBytes>
  using Of = Native<kBytes, T, Op>;
};
template <class Op>
struct ByteKinds : Simple {
  template <std::size_t kBytes>
  using Of = Byte<kBytes, Op>;
};
template <class Kinds>
struct ScaledKinds : Simple {
  static constexpr std::size_t kLeast = Kinds::kLeast;
  static constexpr bool kStreams = Kinds::kStreams;
  template <std::size_t kBytes>
  using Of = Scaled<typename Kinds::template Of<kBytes>>;
};
template <class T>
struct AverageKinds : Simple {
  template <std::size_t kBytes>
  using Of = std::conditional_t<sizeof(T) == 1, ByteAverage<kBytes, T>, NativeAverage<kBytes, T>>;
};
template <class T>
struct IntegerExtremeKinds : Simple {
  template <std::size_t kBytes>
  using Of = IntegerExtreme<kBytes, T>;
};
template <class T>
struct FloatExtremeKinds : Simple {
  template <std::size_t kBytes>
  using Of = FloatExtreme<kBytes, T>;
};

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
