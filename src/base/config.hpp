// Every environment variable the library reads: once, in one table, in one file.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hansa {

enum class LogLevel : std::uint8_t { kNone, kWarn, kInfo, kTrace };

struct PortRange {
  std::uint16_t first = 0, last = 0;  // inclusive; both 0: the kernel chooses
};

// What the user set, parsed; defaults elsewhere. Names of transports, algorithms and interfaces are checked
// by who knows them, with an error that lists what exists. Times are in seconds; 0 means never.
struct Config {
  LogLevel debug = LogLevel::kWarn;
  std::string transport;
  std::string algorithm;
  std::string interface;
  PortRange port_range;
  double init_timeout = 60;
  double late_report = 10;
  double timeout = 0;
  std::string topology;
  bool checksum = false;
  std::string host_id;

  // `init_timeout` as a time to wait: decades instead of never.
  std::chrono::milliseconds init_patience() const;
};

// A row of the table behind Config.
struct Setting {
  const char* name;
  const char* standard;                                // the default, as a user would write it; empty: unset
  const char* accepts;                                 // completes "must be ..."
  const char* help;                                    // one line
  bool (*parse)(std::string_view text, Config& into);  // false: the value is bad, `into` is unchanged
  bool planned = false;                                // read and checked, but nothing heeds it yet
};

std::span<const Setting> settings() noexcept;

// The variable's value, or null where unset.
using Lookup = std::function<const char*(const char* name)>;
// Of this process's environment, which nobody may change meanwhile.
Lookup process_environment();

// Adds one line with cause and remedy for every bad value, which then counts as unset. An empty value is as
// good as none.
Config read_config(const Lookup& lookup, std::vector<std::string>& complaints);

// The process's own: read at the first call, from any thread, and constant from then on. Complaints go to
// stderr.
const Config& config();

}  // namespace hansa
