// What a combine must give, one element at a time, by the definitions of the formats: tables of their numbers
// and a search for the nearest. Shares nothing with the kernels.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hansa/device.hpp"

namespace hansa::reference {

struct Format {
  int exponent_bits, mantissa_bits;
  bool infinity, saturates;
  int bits() const { return 1 + exponent_bits + mantissa_bits; }
};

inline Format format_of(DataType type) {
  switch (type) {
    case DataType::kFloat16:
      return {5, 10, true, false};
    case DataType::kBfloat16:
      return {8, 7, true, false};
    case DataType::kFloat8E4M3:
      return {4, 3, false, true};
    default:
      return {5, 2, true, true};
  }
}

inline bool is_narrow(DataType type) { return is_float(type) && size_of(type) <= 2; }

// The narrow float types, by their codes.
class Codes {
 public:
  explicit Codes(DataType type) : format_(format_of(type)), sign_(1u << (format_.bits() - 1)) {
    const std::uint32_t mantissas = 1u << format_.mantissa_bits, exponents = 1u << format_.exponent_bits;
    const int bias = static_cast<int>(exponents / 2) - 1;
    for (std::uint32_t code = 0; code < sign_; ++code) {
      const std::uint32_t exponent = code / mantissas, mantissa = code % mantissas;
      const bool top = exponent == exponents - 1;
      double value;
      if (format_.infinity ? top && mantissa > 0 : top && mantissa == mantissas - 1)
        value = std::nan("");
      else if (format_.infinity && top)
        value = INFINITY;
      else if (exponent == 0)
        value = std::ldexp(mantissa, 1 - bias - format_.mantissa_bits);
      else
        value = std::ldexp(mantissas + mantissa, static_cast<int>(exponent) - bias - format_.mantissa_bits);
      values_.push_back(value);
      if (std::isfinite(value)) finite_ = code + 1;
    }
  }

  std::uint32_t count() const { return 2 * sign_; }
  std::uint32_t nan() const { return sign_ - 1; }
  float value(std::uint32_t code) const {
    return static_cast<float>(std::copysign(values_[code % sign_], code >= sign_ ? -1.0 : 1.0));
  }

  // The code of a number that has one; infinity stays what it is.
  std::uint32_t of(float value) const {
    return std::isinf(value) ? (std::signbit(value) ? sign_ : 0) | finite_ : nearest(value);
  }

  std::uint32_t nearest(float value) const {
    if (std::isnan(value)) return nan();
    const std::uint32_t sign = std::signbit(value) ? sign_ : 0;
    const double magnitude = std::fabs(static_cast<double>(value));
    const auto end = values_.begin() + finite_;
    const auto above = std::lower_bound(values_.begin(), end, magnitude);
    const std::uint32_t code = static_cast<std::uint32_t>(above - values_.begin());
    if (above == end) {
      // Past the greatest number: infinity from half a step on, where the format has one and uses it.
      const double greatest = values_[finite_ - 1], step = greatest - values_[finite_ - 2];
      return sign | (!format_.saturates && magnitude >= greatest + step / 2 ? finite_ : finite_ - 1);
    }
    if (*above == magnitude) return sign | code;
    const double below = values_[code - 1];
    const bool up =
        magnitude - below > *above - magnitude || (magnitude - below == *above - magnitude && code % 2 == 0);
    return sign | (up ? code : code - 1);
  }

 private:
  Format format_;
  std::uint32_t sign_, finite_ = 0;
  std::vector<double> values_;
};

inline const Codes& codes(DataType type) {
  static const Codes kHalf(DataType::kFloat16), kBfloat(DataType::kBfloat16), kE4M3(DataType::kFloat8E4M3),
      kE5M2(DataType::kFloat8E5M2);
  return type == DataType::kFloat16      ? kHalf
         : type == DataType::kBfloat16   ? kBfloat
         : type == DataType::kFloat8E4M3 ? kE4M3
                                         : kE5M2;
}

// IEEE 754-2019 maximumNumber and minimumNumber.
template <class T>
T extreme_number(T a, T b, bool want_max) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) == want_max ? b : a;
  return (a < b) == want_max ? b : a;
}

inline bool scales(const CombineCall& call, std::size_t source) {
  return !call.factors.empty() && call.factors[source].scales();
}

template <class T, class Bits>
Bits combine_native_float(const CombineCall& call, const std::vector<std::uint64_t>& elements) {
  T sum{};
  for (std::size_t s = 0; s < elements.size(); ++s) {
    T value = std::bit_cast<T>(static_cast<Bits>(elements[s]));
    if (scales(call, s)) value *= static_cast<T>(call.factors[s].real);
    if (s == 0)
      sum = value;
    else if (call.op == ReduceOp::kProd)
      sum *= value;
    else if (call.op == ReduceOp::kMax || call.op == ReduceOp::kMin)
      sum = extreme_number(sum, value, call.op == ReduceOp::kMax);
    else
      sum += value;
  }
  return std::isnan(sum) ? static_cast<Bits>(~Bits{0} >> 1) : std::bit_cast<Bits>(sum);
}

inline std::uint64_t combine_narrow(const CombineCall& call, const std::vector<std::uint64_t>& elements) {
  const Codes& table = codes(call.type);
  float sum = 0;
  for (std::size_t s = 0; s < elements.size(); ++s) {
    float value = table.value(static_cast<std::uint32_t>(elements[s]));
    if (scales(call, s)) value = table.value(table.nearest(value * static_cast<float>(call.factors[s].real)));
    if (s == 0)
      sum = value;
    else if (call.op == ReduceOp::kProd)
      sum *= value;
    else if (call.op == ReduceOp::kMax || call.op == ReduceOp::kMin)
      sum = extreme_number(sum, value, call.op == ReduceOp::kMax);
    else
      sum += value;
  }
  const bool chosen = call.op == ReduceOp::kMax || call.op == ReduceOp::kMin;
  return chosen ? table.of(sum) : table.nearest(sum);
}

template <class T>
std::uint64_t combine_integer(const CombineCall& call, const std::vector<std::uint64_t>& elements) {
  T sum{};
  for (std::size_t s = 0; s < elements.size(); ++s) {
    T value = static_cast<T>(elements[s]);
    if (scales(call, s))
      value = static_cast<T>(elements[s] * static_cast<std::uint64_t>(call.factors[s].integer));
    if (s == 0)
      sum = value;
    else if (call.op == ReduceOp::kMax || call.op == ReduceOp::kMin)
      sum = call.op == ReduceOp::kMax ? std::max(sum, value) : std::min(sum, value);
    else if (call.op == ReduceOp::kProd)
      sum = static_cast<T>(static_cast<std::uint64_t>(sum) * static_cast<std::uint64_t>(value));
    else
      sum = static_cast<T>(static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(value));
  }
  if (call.divisor > 1) {
    using Widest = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    sum = static_cast<T>(static_cast<Widest>(sum) / static_cast<Widest>(call.divisor));
  }
  return static_cast<std::make_unsigned_t<T>>(sum);
}

// The bits of the result, given the bits of one element of every source. A NaN is given as the canonical one.
inline std::uint64_t combine(const CombineCall& call, const std::vector<std::uint64_t>& elements) {
  if (elements.size() == 1 && !scales(call, 0) && call.divisor <= 1) return elements[0];
  switch (call.type) {
    case DataType::kInt8:
      return combine_integer<std::int8_t>(call, elements);
    case DataType::kUint8:
      return combine_integer<std::uint8_t>(call, elements);
    case DataType::kInt32:
      return combine_integer<std::int32_t>(call, elements);
    case DataType::kUint32:
      return combine_integer<std::uint32_t>(call, elements);
    case DataType::kInt64:
      return combine_integer<std::int64_t>(call, elements);
    case DataType::kUint64:
      return combine_integer<std::uint64_t>(call, elements);
    case DataType::kFloat32:
      return combine_native_float<float, std::uint32_t>(call, elements);
    case DataType::kFloat64:
      return combine_native_float<double, std::uint64_t>(call, elements);
    default:
      return combine_narrow(call, elements);
  }
}

}  // namespace hansa::reference
