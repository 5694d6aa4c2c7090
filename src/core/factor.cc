#include "core/factor.hpp"

#include <cmath>
#include <cstring>

namespace hansa {
namespace {

template <class T>
T load(const void* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

// A binary float of `exponent_bits` and `mantissa_bits`; `finite`: the all-ones exponent holds numbers too,
// and only all ones in both is no number (E4M3).
double small_float(unsigned bits, int exponent_bits, int mantissa_bits, bool finite) {
  const int bias = (1 << (exponent_bits - 1)) - 1, ones = (1 << exponent_bits) - 1;
  const int mantissa = static_cast<int>(bits & ((1u << mantissa_bits) - 1));
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ones;
  const double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1.0 : 1.0;
  if (exponent == ones && finite && mantissa == (1 << mantissa_bits) - 1) return sign * NAN;
  if (exponent == ones && !finite) return sign * (mantissa ? NAN : INFINITY);
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

}  // namespace

Factor read_factor(DataType type, const void* address) {
  Factor factor;
  switch (type) {
    case DataType::kInt8:
      factor.integer = load<std::int8_t>(address);
      break;
    case DataType::kUint8:
      factor.integer = load<std::uint8_t>(address);
      break;
    case DataType::kInt32:
      factor.integer = load<std::int32_t>(address);
      break;
    case DataType::kUint32:
      factor.integer = load<std::uint32_t>(address);
      break;
    case DataType::kInt64:
    case DataType::kUint64:
      factor.integer = load<std::int64_t>(address);
      break;
    case DataType::kFloat16:
      factor.real = small_float(load<std::uint16_t>(address), 5, 10, false);
      break;
    case DataType::kBfloat16:
      factor.real = small_float(load<std::uint16_t>(address), 8, 7, false);
      break;
    case DataType::kFloat32:
      factor.real = load<float>(address);
      break;
    case DataType::kFloat64:
      factor.real = load<double>(address);
      break;
    case DataType::kFloat8E4M3:
      factor.real = small_float(load<std::uint8_t>(address), 4, 3, true);
      break;
    case DataType::kFloat8E5M2:
      factor.real = small_float(load<std::uint8_t>(address), 5, 2, false);
      break;
  }
  return factor;
}

}  // namespace hansa
