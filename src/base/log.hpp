// What the library says: lines on stderr or in NCCL_DEBUG_FILE, each written whole, so that ranks do not cut
// each other off.
//
//   HANSA_WARN("rank {} is {} s late", rank, seconds);
//   HANSA_INFO_ON(kNet, "port {}", port);    // unless NCCL_DEBUG_SUBSYS leaves NET out
//
// WARN is for what a user should act on, INFO for what was chosen and why (once per communicator, not per
// call), TRACE for each step. A level that is off costs one comparison and does not evaluate its arguments.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "base/config.hpp"
#include "hansa/types.hpp"

namespace hansa {

inline bool logs(LogLevel level) { return level <= config().debug; }
inline bool logs(LogLevel level, Subsystem subsystem) {
  return logs(level) && (config().subsystems >> static_cast<unsigned>(subsystem) & 1) != 0;
}

// One line: "hansa HOST:PID:RANK LEVEL message"; at kVersion the message alone. From any thread; keeps errno.
void write_log(LogLevel level, std::string_view message) noexcept;

// At the first call in a process, and at INFO: the library's name and version, from rank 0, and each variable
// that was found outside, with what became of it. At VERSION the version alone. Any thread.
void announce_library(Rank rank);

// "NCCL version 2.27.7+hansa0.1.0": the interface that ncclGetVersion reports, and what is behind it.
std::string version_text();

// While it lives, lines of this thread carry the rank. Nests.
class LogRank {
 public:
  explicit LogRank(Rank rank) noexcept;
  ~LogRank();
  LogRank(const LogRank&) = delete;
  LogRank& operator=(const LogRank&) = delete;

 private:
  Rank outer_;
};

}  // namespace hansa

#define HANSA_LOG(level, ...)                                                        \
  do {                                                                               \
    if (::hansa::logs(level)) ::hansa::write_log(level, ::fmt::format(__VA_ARGS__)); \
  } while (false)
#define HANSA_WARN(...) HANSA_LOG(::hansa::LogLevel::kWarn, __VA_ARGS__)
#define HANSA_INFO(...) HANSA_LOG(::hansa::LogLevel::kInfo, __VA_ARGS__)
#define HANSA_TRACE(...) HANSA_LOG(::hansa::LogLevel::kTrace, __VA_ARGS__)
// As HANSA_INFO, for a line that belongs to one Subsystem.
#define HANSA_INFO_ON(subsystem, ...)                                           \
  do {                                                                          \
    if (::hansa::logs(::hansa::LogLevel::kInfo, ::hansa::Subsystem::subsystem)) \
      ::hansa::write_log(::hansa::LogLevel::kInfo, ::fmt::format(__VA_ARGS__)); \
  } while (false)
