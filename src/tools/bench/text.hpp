// What users write for the benchmarks (sizes, splits, traffic matrices), and numbers as nccl-tests writes
// them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "hansa/status.hpp"

namespace hansa::bench {

// "8", "1K", "1.5M", "2g", "4MB": bytes, with K, M and G as powers of 1024.
Result<std::size_t> parse_size(std::string_view text);

// Which processes work together: those of equal color.
struct Split {
  enum class Kind { kNone, kAnd, kOr, kModulo, kDivide };
  Kind kind = Kind::kNone;
  long value = 0;
  long color(long process) const;
};

// "AND 0x7", "&7", "OR 0x7", "MOD 8", "%8", "DIV 2", "/2": what NCCL_TESTS_SPLIT may say. Numbers are
// decimal, 0x... or 0b....
Result<Split> parse_split(std::string_view text);
// A hexadecimal number, with or without 0x: what NCCL_TESTS_SPLIT_MASK may say.
Result<Split> parse_split_mask(std::string_view text);

// bytes[i * n + j] go from rank i to rank j.
struct Matrix {
  std::size_t n = 0;
  std::vector<std::size_t> bytes;
};

// Rows of numbers of bytes, as many rows as columns; each number is multiplied by `scale` and rounded down to
// a multiple of 16.
Result<Matrix> parse_matrix(std::string_view text, double scale);

// The number with as many decimals, two at most, as `width` characters hold, else with an exponent;
// right-aligned.
std::string column(double value, int width);

// The local time as 2025-12-31 23:59:59.
std::string time_of_day();

}  // namespace hansa::bench
