#include "values.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hansa::test {
namespace {

constexpr Type kTypes[] = {
    {ncclInt8, "int8", 1, true, 0, 0},         {ncclUint8, "uint8", 1, false, 0, 0},
    {ncclInt32, "int32", 4, true, 0, 0},       {ncclUint32, "uint32", 4, false, 0, 0},
    {ncclInt64, "int64", 8, true, 0, 0},       {ncclUint64, "uint64", 8, false, 0, 0},
    {ncclFloat16, "half", 2, true, 5, 10},     {ncclFloat32, "float", 4, true, 8, 23},
    {ncclFloat64, "double", 8, true, 11, 52},  {ncclBfloat16, "bfloat16", 2, true, 8, 7},
    {ncclFloat8e4m3, "f8e4m3", 1, true, 4, 3}, {ncclFloat8e5m2, "f8e5m2", 1, true, 5, 2},
};

constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::int64_t within(std::uint64_t random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random % static_cast<std::uint64_t>(high - low + 1));
}

// Integers up to this are exact.
std::int64_t exact_limit(const Type& type) { return std::int64_t{1} << std::min(type.mantissa_bits + 1, 20); }

// A full-width integer, as the type reads it.
std::int64_t any_integer(const Type& type, std::uint64_t random) {
  const int unused = 64 - static_cast<int>(type.size) * 8;
  const auto bits = static_cast<std::int64_t>(random << unused);
  return type.is_signed ? bits >> unused
                        : static_cast<std::int64_t>(static_cast<std::uint64_t>(bits) >> unused);
}

std::int64_t contribution(const Type& type, Op op, int rank, int ranks, std::size_t i) {
  const std::uint64_t random = mix(i * 64 + static_cast<std::uint64_t>(rank));
  if (op == Op::kAvg) {
    // Sums of integers must fit; contributions of floats must still be whole when divided.
    if (!type.is_float()) return type.is_signed ? within(random, -15, 15) : within(random, 0, 31);
    return within(random, -1, 1) * ranks;
  }
  if (!type.is_float()) return any_integer(type, random);
  if (op == Op::kProd) return (random & 1) ? 2 : (random & 2) ? -1 : 1;
  const std::int64_t most =
      op == Op::kSum || op == Op::kMulSum ? exact_limit(type) / ranks : exact_limit(type);
  return within(random, -most, most);
}

bool less(const Type& type, std::int64_t a, std::int64_t b) {
  return type.is_signed ? a < b : static_cast<std::uint64_t>(a) < static_cast<std::uint64_t>(b);
}

// Integer arithmetic is modulo 2^64 and cut to the type's width at the end.
std::int64_t fold(const Type& type, Op op, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  switch (op) {
    case Op::kProd:
      return static_cast<std::int64_t>(x * y);
    case Op::kMax:
      return less(type, a, b) ? b : a;
    case Op::kMin:
      return less(type, b, a) ? b : a;
    default:
      return static_cast<std::int64_t>(x + y);
  }
}

std::uint64_t float_bits(const Type& type, std::int64_t value) {
  const std::uint64_t sign = value < 0 ? 1 : 0;
  const auto magnitude = static_cast<std::uint64_t>(value < 0 ? -value : value);
  if (magnitude == 0) return 0;
  const int exponent = std::bit_width(magnitude) - 1;
  const int bias = (1 << (type.exponent_bits - 1)) - 1;
  const std::uint64_t fraction = (magnitude << (63 - exponent)) << 1;
  const std::uint64_t mantissa = fraction >> (64 - type.mantissa_bits);
  const int largest =
      type.id == ncclFloat8e4m3 ? bias + 1 : bias;  // e4m3 has no infinities: 448 is its largest
  if (fraction << type.mantissa_bits != 0 || exponent > largest) {
    std::fprintf(stderr, "the test is wrong: %lld is not exact as %s\n", static_cast<long long>(value),
                 type.name);
    std::abort();
  }
  return (sign << type.exponent_bits | static_cast<std::uint64_t>(exponent + bias)) << type.mantissa_bits |
         mantissa;
}

// As the machine stores them, lowest first: all that Hansa runs on does so. At once, for speed.
void write_low_bytes(const Type& type, std::uint64_t bits, std::byte* to) {
  static_assert(std::endian::native == std::endian::little);
  switch (type.size) {
    case 1:
      std::memcpy(to, &bits, 1);
      break;
    case 2:
      std::memcpy(to, &bits, 2);
      break;
    case 4:
      std::memcpy(to, &bits, 4);
      break;
    default:
      std::memcpy(to, &bits, 8);
  }
}

}  // namespace

std::span<const Type> types() { return kTypes; }
const Type& type_of(ncclDataType_t id) { return kTypes[id]; }

const char* name_of(Op op) {
  constexpr const char* kNames[] = {"sum", "prod", "max", "min", "avg", "mulsum", "none"};
  return kNames[static_cast<int>(op)];
}

ncclRedOp_t builtin(Op op) { return static_cast<ncclRedOp_t>(op); }

void encode(const Type& type, std::int64_t value, std::byte* to) {
  const std::uint64_t bits = type.is_float() ? float_bits(type, value) : static_cast<std::uint64_t>(value);
  write_low_bytes(type, bits, to);
}

void write_input(const Type& type, Op op, int rank, int ranks, std::size_t i, std::byte* to) {
  if (op != Op::kMove) return encode(type, contribution(type, op, rank, ranks, i), to);
  const std::uint64_t bits = mix(i * 64 + static_cast<std::uint64_t>(rank) + 17);
  write_low_bytes(type, bits, to);
}

void write_reduced(const Type& type, Op op, int ranks, std::size_t i, std::byte* to) {
  const auto term = [&](int rank) {
    const auto value = static_cast<std::uint64_t>(contribution(type, op, rank, ranks, i));
    const auto scalar = static_cast<std::uint64_t>(op == Op::kMulSum ? scalar_of(rank) : 1);
    return static_cast<std::int64_t>(value * scalar);
  };
  std::int64_t result = term(0);
  for (int rank = 1; rank < ranks; ++rank) result = fold(type, op, result, term(rank));
  if (op == Op::kAvg) result /= ranks;
  encode(type, result, to);
}

}  // namespace hansa::test
