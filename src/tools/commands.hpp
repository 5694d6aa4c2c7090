// The subcommands of `hansa`: each adds itself to the command line and, if chosen, sets the exit status.
#pragma once

#include <CLI/CLI.hpp>

namespace hansa::tools {

void add_bench(CLI::App& app, int& status);
void add_config(CLI::App& app, int& status);
void add_demo(CLI::App& app, int& status);
void add_dump(CLI::App& app, int& status);
void add_schedule(CLI::App& app, int& status);
void add_status(CLI::App& app, int& status);
void add_trace(CLI::App& app, int& status);

}  // namespace hansa::tools
