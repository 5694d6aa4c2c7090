// What a benchmark is asked to do: nccl-tests' flags and variables, and ours.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/bench/programs.hpp"
#include "tools/bench/text.hpp"
#include "tools/bench/values.hpp"

namespace hansa::bench {

enum class Timing { kBackToBack, kBarrier };

struct Options {
  std::vector<const Program*> programs;  // at least one
  std::string name;                      // of all of it: "all_reduce_perf"
  std::vector<std::string> arguments;    // all of the command's, for the record

  // nccl-tests' flags, named as its long options are.
  int nthreads = 1, ngpus = 1;
  std::size_t minbytes = 32 << 20, maxbytes = 32 << 20, stepbytes = 1 << 20;
  long stepfactor = 1;
  std::vector<std::size_t>
      sizes;  // rising, from minbytes to maxbytes: these and none between; no flag of nccl-tests
  int iters = 20, agg_iters = 1, warmup_iters = 1, run_cycles = 1, check = 1;
  int parallel_init = 0, blocking = 0, timeout = 0, report_cputime = 0, report_timestamps = 0;
  int average = 1, local_register = 0, memory = 0, unalign = 0, per_iter_timing = 0, per_iter_skip = 0;
  int root = 0;  // -1: each
  std::string op = "sum", datatype = "float", output_file;

  // Ours.
  Timing timing = Timing::kBackToBack;
  bool percentiles = false;
  bool malloc_buffers = false;  // untouched memory of malloc instead of ncclMemAlloc
  std::string algorithm, transport;

  // Of the environment.
  Split split;
  int device = -1;              // the first device number to print; -1: by place on the host
  double least_bandwidth = -1;  // GB/s of bus bandwidth, of which nine tenths must be reached; negative: none
  Traffic traffic;

  int ranks_in_process() const { return nthreads * ngpus; }
  bool keeps_iterations() const { return per_iter_timing || percentiles || timing == Timing::kBarrier; }
  // Goes on from `minbytes` to the next size that is measured; false: it was the last.
  bool advance(std::size_t& size) const;
  std::vector<Type> types() const;
  std::vector<Op> ops(const Program& program) const;  // one, kMove, for programs that show none
};

// What parsing cannot see: flags that do not go together; then the variables NCCL_TESTS_*.
Status complete(Options& options, const std::function<const char*(const char*)>& lookup);

}  // namespace hansa::bench
