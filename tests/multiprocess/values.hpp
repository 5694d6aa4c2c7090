// Numbers whose reductions are exact in every type, whatever the order: what each rank contributes and what
// must come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nccl.h"

namespace hansa::test {

struct Type {
  ncclDataType_t id;
  const char* name;
  std::size_t size;
  bool is_signed;
  int exponent_bits;  // 0: an integer
  int mantissa_bits;
  bool is_float() const { return exponent_bits != 0; }
};

std::span<const Type> types();
const Type& type_of(ncclDataType_t id);

// kMulSum is ncclRedOpCreatePreMulSum with scalar_of(rank). kMove is for collectives that only carry bits.
enum class Op { kSum, kProd, kMax, kMin, kAvg, kMulSum, kMove };
inline constexpr Op kReductions[] = {Op::kSum, Op::kProd, Op::kMax, Op::kMin, Op::kAvg, Op::kMulSum};
// The scalar of a rank: not the same on all.
constexpr std::int64_t scalar_of(int rank) { return rank % 2 == 0 ? 2 : -2; }

const char* name_of(Op op);
// Not for kMulSum, which has a handle of its own.
ncclRedOp_t builtin(Op op);

// Writes `value` as one element: modulo the width for integers, exactly for floats, or else this is a bug of
// the test and the program ends.
void encode(const Type& type, std::int64_t value, std::byte* to);

// Element i that `rank` of `ranks` brings to a reduction, or any bits if kMove. At most 8 ranks.
void write_input(const Type& type, Op op, int rank, int ranks, std::size_t i, std::byte* to);

// Element i of the reduction of all ranks' inputs.
void write_reduced(const Type& type, Op op, int ranks, std::size_t i, std::byte* to);

}  // namespace hansa::test
