// The benchmarks as commands, for who does not want to see how commands are parsed.
#pragma once

#include <optional>

namespace hansa::tools {

// The exit status, if the command was called by a name of nccl-tests' programs (all_reduce_perf); else
// nothing was done.
std::optional<int> bench_by_name(int argc, char** argv);

// A command that has nothing but `bench` and the names of its programs. Returns its exit status.
int bench_main(int argc, char** argv);

}  // namespace hansa::tools
