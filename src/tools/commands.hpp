// The subcommands of `hansa`: each adds itself to the command line and, if chosen, sets the exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

namespace hansa::tools {

void add_bench(CLI::App& app, int& status);
void add_demo(CLI::App& app, int& status);
void add_schedule(CLI::App& app, int& status);

// The exit status, if the command was called by a name of nccl-tests' programs (all_reduce_perf); else
// nothing was done.
std::optional<int> bench_by_name(int argc, char** argv);

}  // namespace hansa::tools
