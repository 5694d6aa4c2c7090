// What the combine kernels compute, by element type. Included once per instruction level, inside Highway's
// include scheme.
//
// A Kind works on vectors of kBytes, a unit of which is kUnit bytes of memory:
//   Value load(const std::byte*)           reads a unit, widened where the type is narrow
//   void combine(Value& sum, Value)        sum = sum op value
//   void scale(Value&, const Factor&)      times the factor, rounded to the element type; where kScales
//   void store<kStream>(Value, std::byte*) rounds once and writes a unit; streamed only where aligned
// kUnroll units keep the machine busy.
#if defined(HANSA_COMBINE_KINDS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_KINDS_INL
#undef HANSA_COMBINE_KINDS_INL
#else
#define HANSA_COMBINE_KINDS_INL
#endif

#include <limits>
#include <type_traits>

#include "device/host/combine_divide-inl.hpp"
#include "device/host/combine_narrow-inl.hpp"
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

template <class D>
HWY_INLINE hn::Vec<D> get(D d, const std::byte* from) {
  return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(from));
}

template <bool kStream, class D, class V>
HWY_INLINE void put(D d, V v, std::byte* to) {
  auto* const lanes = reinterpret_cast<hn::TFromD<D>*>(to);
  if constexpr (kStream)
    hn::Stream(v, d, lanes);
  else
    hn::StoreU(v, d, lanes);
}

// fp32, fp64 and integers of 32 and 64 bits: the lanes of the type, unsigned because wrapping is the same.
template <std::size_t kBytes, class T, class Op>
class Native {
 public:
  using D = Tag<T, kBytes>;
  using Value = hn::Vec<D>;
  static constexpr std::size_t kElement = sizeof(T), kUnit = hn::MaxLanes(D()) * sizeof(T), kUnroll = 4;
  static constexpr bool kScales = true;

  explicit HWY_INLINE Native(const CombineCall&) {}
  HWY_INLINE Value load(const std::byte* from) const { return get(D(), from); }
  HWY_INLINE void combine(Value& sum, Value value) const { sum = Op()(sum, value); }
  HWY_INLINE void scale(Value& value, const Factor& factor) const {
    value = Multiply()(value, hn::Set(D(), element_of<T>(factor)));
  }
  template <bool kStream>
  HWY_INLINE void store(Value value, std::byte* to) const {
    put<kStream>(D(), value, to);
  }
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
  static constexpr std::size_t kElement = 1, kUnit = hn::MaxLanes(D()) * 2, kUnroll = 2;
  static constexpr bool kScales = true;

  explicit HWY_INLINE Byte(const CombineCall&) {}
  HWY_INLINE Value load(const std::byte* from) const {
    const auto both = get(D(), from);
    return {both, hn::ShiftRight<8>(both)};
  }
  HWY_INLINE void combine(Value& sum, Value value) const {
    sum = {Op()(sum.even, value.even), Op()(sum.odd, value.odd)};
  }
  HWY_INLINE void scale(Value& value, const Factor& factor) const {
    const auto times = hn::Set(D(), element_of<std::uint16_t>(factor));
    value = Value(hn::Mul(value.even, times), hn::Mul(value.odd, times));
  }
  template <bool kStream>
  HWY_INLINE void store(Value value, std::byte* to) const {
    const auto even = hn::And(value.even, hn::Set(D(), 0xff));
    put<kStream>(D(), hn::Or(even, hn::ShiftLeft<8>(value.odd)), to);
  }
};

// Floats of 16 and 8 bits: fp32 until the end.
template <class Format, class Op>
class Narrow {
 public:
  using D = typename Format::WideTag;
  static constexpr std::size_t kElement = Format::kElement, kUnit = Format::kUnit;
  static constexpr std::size_t kUnroll = Format::kParts == 2 ? 2 : 1;
  static constexpr bool kScales = true;
  struct Value {
    HWY_INLINE Value() {}
    typename Format::Parts part;
  };

  explicit HWY_INLINE Narrow(const CombineCall&) {}
  HWY_INLINE Value load(const std::byte* from) const {
    Value value;
    Format::load(from, value.part);
    return value;
  }
  HWY_INLINE void combine(Value& sum, const Value& value) const {
    for (std::size_t p = 0; p < Format::kParts; ++p) sum.part[p] = Op()(sum.part[p], value.part[p]);
  }
  HWY_INLINE void scale(Value& value, const Factor& factor) const {
    const auto given = hn::Set(D(), element_of<float>(factor));
    const auto times =
        hn::IfThenElse(hn::IsNaN(given), hn::Set(D(), std::numeric_limits<float>::quiet_NaN()), given);
    for (auto& part : value.part) part = Format::rounded(hn::Mul(part, times));
  }
  template <bool kStream>
  HWY_INLINE void store(const Value& value, std::byte* to) const {
    Format::template store<kStream>(value.part, to);
  }
};

// Averages of integers: the sum, divided when it is written.
template <std::size_t kBytes, class T>
class NativeAverage : public Native<kBytes, std::make_unsigned_t<T>, Add> {
 public:
  using Sum = Native<kBytes, std::make_unsigned_t<T>, Add>;
  using D = typename Sum::D;
  static constexpr bool kScales = false;

  explicit HWY_INLINE NativeAverage(const CombineCall& call) : Sum(call), divide_(call.divisor) {}
  template <bool kStream>
  HWY_INLINE void store(typename Sum::Value sum, std::byte* to) const {
    put<kStream>(D(), std::is_signed_v<T> ? divide_.signed_lanes(sum) : divide_(sum), to);
  }

 private:
  const Division<D> divide_;
};

template <std::size_t kBytes, class T>
class ByteAverage : public Byte<kBytes, Add> {
 public:
  using Sum = Byte<kBytes, Add>;
  using D = typename Sum::D;
  static constexpr bool kScales = false;

  explicit HWY_INLINE ByteAverage(const CombineCall& call) : Sum(call), divide_(call.divisor) {}
  template <bool kStream>
  HWY_INLINE void store(const typename Sum::Value& sum, std::byte* to) const {
    Sum::template store<kStream>(typename Sum::Value(quotient(sum.even), quotient(sum.odd)), to);
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
  using Value = hn::Vec<D>;
  static constexpr std::size_t kElement = sizeof(T), kUnit = hn::MaxLanes(D()) * sizeof(T), kUnroll = 4;
  static constexpr bool kScales = false;

  explicit HWY_INLINE IntegerExtreme(const CombineCall& call) : flip_(hn::Set(D(), flip(call))) {}
  HWY_INLINE Value load(const std::byte* from) const { return hn::Xor(get(D(), from), flip_); }
  HWY_INLINE void combine(Value& sum, Value value) const { sum = hn::Max(sum, value); }
  template <bool kStream>
  HWY_INLINE void store(Value value, std::byte* to) const {
    put<kStream>(D(), hn::Xor(value, flip_), to);
  }

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
  using Value = hn::Vec<D>;
  static constexpr std::size_t kElement = sizeof(T), kUnit = hn::MaxLanes(D()) * sizeof(T), kUnroll = 2;
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
  template <bool kStream>
  HWY_INLINE void store(Value value, std::byte* to) const {
    const Value bits = hn::Xor(swap_order(value), flip_);
    const auto is_nan = hn::Eq(value, hn::Set(D(), kSign));
    put<kStream>(D(), hn::IfThenElse(is_nan, hn::Set(D(), kMagnitude), bits), to);
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

// The Kinds of one type and operation, by vector size. kLeast: the smallest vector that is worth its code for
// a short call. kStreams: whether memory, not arithmetic, is what bounds the speed.
struct Simple {
  static constexpr std::size_t kLeast = 4;
  static constexpr bool kStreams = true;
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
template <class T>
struct AverageKinds : Simple {
  template <std::size_t kBytes>
  using Of = std::conditional_t<sizeof(T) == 1, ByteAverage<kBytes, T>, NativeAverage<kBytes, T>>;
};
template <template <std::size_t> class Format, class Op>
struct NarrowKinds {
  template <std::size_t kBytes>
  using Of = Narrow<Format<kBytes>, Op>;
  static constexpr bool kStreams = Of<4>::kElement == 2;
  static constexpr std::size_t kLeast = kStreams ? 4 : kVector;
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
