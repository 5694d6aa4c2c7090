// What the benchmarks read of the machine and of the environment, and set there.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace hansa::bench {

// A variable's value, or null; the only place where the tools' benchmarks read the environment.
const char* variable(const char* name);
// For this process and those it starts. Before any other thread, and before the library's first call.
void set_variable(const char* name, const std::string& value);
// NAME=VALUE of what bears on a measurement: the libraries' and the launchers' names. Nothing else, because
// these are written to files that people send around.
std::vector<std::string> environment();

// The command as it was typed, word by word.
std::vector<std::string> command_line();

std::string processor_name();
// Bytes that this host can give without swapping.
std::size_t available_memory();
// Keeps the calling thread busy for a moment: the scheduler moves ranks that it started on one core apart
// only when it sees them run.
void settle();

// Bytes of this process that are in memory, a shared page by its share.
long long used_memory();

}  // namespace hansa::bench
