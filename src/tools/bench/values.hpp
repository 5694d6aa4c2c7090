// Data whose reductions are exact in every type and in any order: what each rank brings and what must come
// out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nccl.h"

namespace hansa::bench {

struct Type {
  ncclDataType_t id;
  const char* name;  // as nccl-tests spells it
  std::size_t size;
  bool is_signed;
  int exponent_bits;  // 0: an integer
  int mantissa_bits;
};

std::span<const Type> types();

// In the order of nccl-tests' "-o all". kMove: data is only carried.
enum class Op { kSum, kProd, kMax, kMin, kAvg, kMulSum, kMove };
inline constexpr int kReductions = 6;
const char* name_of(Op op);  // not of kMove

// Two, as an element of `type`: the factor of kMulSum.
std::uint64_t two(const Type& type);

// The elements of a buffer of any length: a table that repeats. Its length is prime, so that a block in a
// wrong place shows. Data of another `seed` differs.
class Pattern {
 public:
  // What `rank` of `ranks` brings; `length`: how many elements will be looked at.
  static Pattern input(const Type& type, Op op, std::uint64_t seed, int rank, int ranks, std::size_t length);
  // What the reduction of all ranks' inputs is.
  static Pattern reduced(const Type& type, Op op, std::uint64_t seed, int ranks, std::size_t length);

  // Elements first, first + 1, ... to or against memory; `differing` counts unequal ones, bit for bit.
  void write(std::byte* to, std::size_t first, std::size_t count) const;
  std::size_t differing(const std::byte* found, std::size_t first, std::size_t count) const;

 private:
  Pattern(std::size_t element, std::size_t length);

  std::size_t element_;
  std::vector<std::byte> table_;
};

}  // namespace hansa::bench
