// The host kernels behind hansa::CombineCall. docs/devices.md has the corner cases and the speeds.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "hansa/device.hpp"

namespace hansa {

// Runs `call` on the calling thread and returns when every destination is written; streamed results are
// then ordered before any later store. Any thread; allocates nothing, cannot fail. Expects the default
// rounding mode; the denormals of fp32 and fp64 are kept unless the thread asked its processor to flush them.
// `factors` are meant for sums; `divisor` above 1 also divides a single source.
void host_combine(const CombineCall& call);
// What host_combine() would do, without finding out what that is.
CombineFunction choose_host_combine(const CombineCall& call);

// One way to run the kernels. They are indexed by DataType, then by kSum, kProd, kMax, kMin, kAvg; the
// last divides integers. Calls have at least one source, one destination and one element.
struct CombineLevel {
  using Functions = std::array<CombineChooser, 5>;
  std::string_view name;
  std::array<const Functions*, kDataTypes> kernels = {};
};

// The levels this machine can run, slowest first; host_combine uses the last.
std::span<const CombineLevel> combine_levels();

// host_combine at a given level: for tests and benchmarks. All levels give the same bits, but for which NaN
// an fp32 or fp64 sum or product is.
void combine_at(const CombineLevel& level, const CombineCall& call);

}  // namespace hansa
