#include "tools/bench/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hansa::bench {
namespace {

constexpr std::size_t kPeriod = 4093;
// A product has at most so many factors that are not 1 or -1: the narrowest exponent holds their product.
constexpr std::int64_t kFactors = 4;

constexpr Type kTypes[] = {
    {ncclInt8, "int8", 1, true, 0, 0},         {ncclUint8, "uint8", 1, false, 0, 0},
    {ncclInt32, "int32", 4, true, 0, 0},       {ncclUint32, "uint32", 4, false, 0, 0},
    {ncclInt64, "int64", 8, true, 0, 0},       {ncclUint64, "uint64", 8, false, 0, 0},
    {ncclFloat16, "half", 2, true, 5, 10},     {ncclFloat32, "float", 4, true, 8, 23},
    {ncclFloat64, "double", 8, true, 11, 52},  {ncclBfloat16, "bfloat16", 2, true, 8, 7},
    {ncclFloat8e4m3, "f8e4m3", 1, true, 4, 3}, {ncclFloat8e5m2, "f8e5m2", 1, true, 5, 2},
};

constexpr std::uint64_t mix(std::uint64_t x) {  // SplitMix64's finish
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t hash(std::uint64_t seed, std::uint64_t i, std::uint64_t rank) {
  return mix(mix(seed * 0x9e3779b97f4a7c15 + rank) + i * 0xd1342543de82ef95 + 1);
}

std::int64_t within(std::uint64_t random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random % static_cast<std::uint64_t>(high - low + 1));
}

// Integers up to this are exact, in whatever order they are summed up to it.
std::int64_t exact_limit(const Type& type) {
  if (type.exponent_bits > 0) return std::int64_t{1} << std::min(type.mantissa_bits + 1, 20);
  return type.size > 1 ? std::int64_t{1} << 20 : type.is_signed ? 127 : 255;
}

// A full-width integer, as the type reads it.
std::int64_t any_integer(const Type& type, std::uint64_t random) {
  const int unused = 64 - static_cast<int>(type.size) * 8;
  return type.is_signed ? static_cast<std::int64_t>(random << unused) >> unused
                        : static_cast<std::int64_t>(random << unused >> unused);
}

// Integers, or floats in halves: products of floats have factors of a half.
struct Maker {
  const Type& type;
  Op op;
  std::uint64_t seed;
  int ranks;

  bool floats() const { return type.exponent_bits > 0; }

  // Whether `rank` is among the `most` ranks, different ones for each element, that bring something.
  bool among(std::size_t i, int rank, std::int64_t most) const {
    const auto n = static_cast<std::uint64_t>(ranks);
    const std::uint64_t first = hash(seed, i, ~std::uint64_t{0}) % n;
    return (static_cast<std::uint64_t>(rank) + n - first) % n < static_cast<std::uint64_t>(most);
  }

  // Of integers. The sum of all ranks' is a multiple of their number, or, where the type cannot hold that,
  // small.
  std::int64_t averaged(std::size_t i, int rank) const {
    const std::uint64_t random = hash(seed, i, ~std::uint64_t{0});
    const std::int64_t low = type.is_signed ? -1 : 1;
    const bool wide = 2 * (ranks + 1) <= exact_limit(type);
    const std::int64_t all = wide ? within(random >> 32, low, low + 1 + (type.is_signed ? 1 : 0)) : 0;
    if (ranks == 1) return all;
    const int up = static_cast<int>(random % static_cast<std::uint64_t>(ranks)), down = (up + 1) % ranks;
    if (!wide && !type.is_signed) return rank == up ? 1 : 0;
    return all + (rank == up) - (rank == down);
  }

  double contribution(std::size_t i, int rank) const {
    const std::uint64_t random = hash(seed, i, static_cast<std::uint64_t>(rank));
    const std::int64_t limit = exact_limit(type);
    if (op == Op::kProd) {
      if (!among(i, rank, std::min<std::int64_t>(ranks, kFactors))) return random & 1 ? 1 : -1;
      return random & 1 ? 2 : 0.5;
    }
    if (op == Op::kMax || op == Op::kMin) return static_cast<double>(within(random, -limit, limit));
    // One rank alone, so that sums are exact; a power of two, so that it is the same whether the sum is
    // divided or each contribution multiplied by the reciprocal; so large that the quotient is no subnormal.
    if (op == Op::kAvg) return among(i, rank, 1) ? std::ldexp(random & 1 ? 1 : -1, random & 2 ? 6 : 7) : 0;
    const std::int64_t most = op == Op::kMulSum ? limit / 2 : limit,
                       some = std::min<std::int64_t>(ranks, most);
    return among(i, rank, some) ? static_cast<double>(within(random, -(most / some), most / some)) : 0;
  }

  // Arithmetic is modulo 2^64 and cut to the type's width at the end.
  std::int64_t whole(std::size_t i, int rank) const {
    const std::uint64_t random = hash(seed, i, static_cast<std::uint64_t>(rank));
    if (op == Op::kAvg) return averaged(i, rank);
    return any_integer(type, op == Op::kProd ? random | 1 : random);
  }

  bool less(std::int64_t a, std::int64_t b) const {
    return type.is_signed ? a < b : static_cast<std::uint64_t>(a) < static_cast<std::uint64_t>(b);
  }

  std::int64_t fold(std::int64_t a, std::int64_t b) const {
    const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
    if (op == Op::kProd) return static_cast<std::int64_t>(x * y);
    if (op == Op::kMax) return less(a, b) ? b : a;
    if (op == Op::kMin) return less(b, a) ? b : a;
    return static_cast<std::int64_t>(x + y);
  }

  double fold(double a, double b) const {
    if (op == Op::kProd) return a * b;
    if (op == Op::kMax) return std::max(a, b);
    return op == Op::kMin ? std::min(a, b) : a + b;
  }
};

// Rounded to nearest, ties to even. Not for subnormal numbers.
std::uint64_t encoded(const Type& type, double value) {
  std::uint64_t bits = 0;
  if (type.id == ncclFloat64) {
    std::memcpy(&bits, &value, sizeof value);
  } else if (type.id == ncclFloat32) {
    const auto narrow = static_cast<float>(value);
    std::memcpy(&bits, &narrow, sizeof narrow);
  } else if (value != 0) {
    int exponent = 0;
    const double fraction =
        std::frexp(std::fabs(value), &exponent) * 2 - 1;  // 1.fraction times 2^(exponent - 1)
    const int bias = (1 << (type.exponent_bits - 1)) - 1;
    const std::uint64_t sign = value < 0 ? 1 : 0;
    // A mantissa that rounds up to two carries into the exponent, as it should.
    bits = ((sign << type.exponent_bits | static_cast<std::uint64_t>(exponent - 1 + bias))
            << type.mantissa_bits) +
           static_cast<std::uint64_t>(std::nearbyint(std::ldexp(fraction, type.mantissa_bits)));
  }
  return bits;
}

std::uint64_t reduced_bits(const Maker& maker, std::size_t i) {
  if (maker.floats()) {
    double result = maker.contribution(i, 0);
    for (int rank = 1; rank < maker.ranks; ++rank) result = maker.fold(result, maker.contribution(i, rank));
    const double share = 1.0 / maker.ranks;  // 8- and 16-bit floats are computed with as fp32
    if (maker.op == Op::kAvg) result *= maker.type.size < 8 ? static_cast<float>(share) : share;
    if (maker.op == Op::kMulSum) result *= 2;
    return encoded(maker.type, result);
  }
  std::int64_t result = maker.whole(i, 0);
  for (int rank = 1; rank < maker.ranks; ++rank) result = maker.fold(result, maker.whole(i, rank));
  if (maker.op == Op::kAvg) result /= maker.ranks;
  if (maker.op == Op::kMulSum) result = static_cast<std::int64_t>(static_cast<std::uint64_t>(result) * 2);
  return static_cast<std::uint64_t>(result);
}

}  // namespace

std::span<const Type> types() { return kTypes; }

const char* name_of(Op op) {
  constexpr const char* kNames[] = {"sum", "prod", "max", "min", "avg", "mulsum"};
  return kNames[static_cast<int>(op)];
}

std::uint64_t two(const Type& type) { return type.exponent_bits > 0 ? encoded(type, 2) : 2; }

Pattern::Pattern(std::size_t element, std::size_t length)
    : element_(element), table_(std::clamp<std::size_t>(length, 1, kPeriod) * element) {}

// Elements lie lowest byte first, as on all machines that Hansa runs on.
Pattern Pattern::input(const Type& type, Op op, std::uint64_t seed, int rank, int ranks, std::size_t length) {
  Pattern pattern(type.size, length);
  const Maker maker{type, op, seed, ranks};
  for (std::size_t i = 0; i * type.size < pattern.table_.size(); ++i) {
    std::uint64_t bits = hash(seed, i, static_cast<std::uint64_t>(rank));
    if (op != Op::kMove)
      bits = maker.floats() ? encoded(type, maker.contribution(i, rank))
                            : static_cast<std::uint64_t>(maker.whole(i, rank));
    std::memcpy(pattern.table_.data() + i * type.size, &bits, type.size);
  }
  return pattern;
}

Pattern Pattern::reduced(const Type& type, Op op, std::uint64_t seed, int ranks, std::size_t length) {
  Pattern pattern(type.size, length);
  const Maker maker{type, op, seed, ranks};
  for (std::size_t i = 0; i * type.size < pattern.table_.size(); ++i) {
    const std::uint64_t bits = reduced_bits(maker, i);
    std::memcpy(pattern.table_.data() + i * type.size, &bits, type.size);
  }
  return pattern;
}

void Pattern::write(std::byte* to, std::size_t first, std::size_t count) const {
  const std::size_t period = table_.size() / element_;
  while (count > 0) {
    const std::size_t at = first % period, run = std::min(period - at, count);
    std::memcpy(to, table_.data() + at * element_, run * element_);
    to += run * element_;
    first += run;
    count -= run;
  }
}

std::size_t Pattern::differing(const std::byte* found, std::size_t first, std::size_t count) const {
  const std::size_t period = table_.size() / element_;
  std::size_t wrong = 0;
  while (count > 0) {
    const std::size_t at = first % period, run = std::min(period - at, count);
    const std::byte* const wanted = table_.data() + at * element_;
    if (std::memcmp(found, wanted, run * element_) != 0)
      for (std::size_t i = 0; i < run; ++i)
        wrong += std::memcmp(found + i * element_, wanted + i * element_, element_) != 0;
    found += run * element_;
    first += run;
    count -= run;
  }
  return wrong;
}

}  // namespace hansa::bench
