#include "tools/bench/machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace hansa::bench {
namespace {

// What stands behind "name :" in a file of such lines; empty if there is none.
std::string field(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const std::size_t colon = line.find(':');
    const std::size_t value = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

long long kilobytes(const char* path, std::string_view name) {
  return std::strtoll(field(path, name).c_str(), nullptr, 10) * 1024;
}

}  // namespace

const char* variable(const char* name) { return std::getenv(name); }

void set_variable(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

std::vector<std::string> environment() {
  constexpr std::string_view kPrefixes[] = {
      "NCCL_", "HANSA_",      "FI_",         "UCX_",         "SLURM_",
      "PMI",   "OMPI_",       "MPICH",       "OMP_",         "LD_LIBRARY_PATH=",
      "RANK=", "WORLD_SIZE=", "LOCAL_RANK=", "MASTER_ADDR=", "MASTER_PORT="};
  std::vector<std::string> chosen;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const auto starts = [&](std::string_view prefix) { return line.starts_with(prefix); };
    if (std::ranges::any_of(kPrefixes, starts)) chosen.emplace_back(line);
  }
  return chosen;
}

std::vector<std::string> command_line() {
  std::vector<std::string> words;
  std::ifstream file("/proc/self/cmdline");
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

std::string processor_name() {
  const std::string name = field("/proc/cpuinfo", "model name");
  return name.empty() ? "host" : name;
}

std::size_t available_memory() {
  const long long known = kilobytes("/proc/meminfo", "MemAvailable");
  return known > 0
             ? static_cast<std::size_t>(known)
             : static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(getpagesize());
}

void settle() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
  while (std::chrono::steady_clock::now() < end) {
  }
}

long long used_memory() { return kilobytes("/proc/self/smaps_rollup", "Pss:"); }

}  // namespace hansa::bench
