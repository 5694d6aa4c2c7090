// Where a combine's arithmetic happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "hansa/types.hpp"

namespace hansa {

// A number in the element type: `real` for float types (rounded to fp32 before use unless the type is
// fp64), `integer` for the others (taken modulo the type's width).
struct Factor {
  double real = 1.0;
  std::int64_t integer = 1;

  bool scales() const noexcept { return real != 1.0 || integer != 1; }
};

// destinations[j][e] = sources[0][e] op ... op sources[k-1][e], in list order, for e < elements and every j.
//
// 16- and 8-bit floats widen to fp32, combine, and round once (to nearest, ties to even). With one
// source the bits are copied untouched, unless that source is multiplied.
// Average and PreMulSum are sums: a float average and PreMulSum multiply each contribution when it
// is first read (by its source's factor; the product is rounded to the element type, so that
// it is the same number whether it was read here or sent first); an integer average divides the finished sum
// by `divisor`, towards zero. docs/devices.md has the corner cases as a table.
// A destination may equal a source exactly; any other overlap is a bug of the caller. No alignment is
// required beyond the element's own.
struct CombineCall {
  DataType type = DataType::kFloat32;
  ReduceOp op = ReduceOp::kSum;  // kAvg and kPreMulSum combine as kSum
  std::span<const std::byte* const> sources = {};
  std::span<std::byte* const> destinations = {};
  std::size_t elements = 0;
  // One a source, or none; a source whose factor scales() is multiplied by it. Of sums.
  std::span<const Factor> factors = {};
  std::int64_t divisor = 1;  // of integer averages; 1: none
  // Bypass the caches at the destinations that lie as this one does to the start of a vector: their lines are
  // in another core's cache, or will not be read soon. -1: none.
  int streams = -1;
};

using CombineFunction = void (*)(const CombineCall&);
// The function for all calls that are like this one but for the bytes' places: the addresses in the arrays
// that `sources` and `destinations` name. Whoever makes such a call again and again asks once.
using CombineChooser = CombineFunction (*)(const CombineCall&);

}  // namespace hansa
