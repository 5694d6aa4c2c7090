// One rank of a benchmark, from the first meeting to the last line.
#pragma once

#include "tools/bench/crew.hpp"
#include "tools/bench/options.hpp"

namespace hansa::bench {

// Runs what `options` ask for, as the rank that `seat` says, and reports if it is the first. Blocks until it
// is done or the benchmark has ended early. Returns kDone, kWrong if any rank got a wrong value or the
// bandwidth is too low (the same on all ranks), else another result of crew.hpp.
int run_rank(const Options& options, const Seat& seat);

}  // namespace hansa::bench
