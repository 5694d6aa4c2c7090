// What the library says: lines on stderr, each written whole, so that ranks do not cut each other off.
//
//   HANSA_WARN("rank {} is {} s late", rank, seconds);
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

// One line: "hansa HOST:PID:RANK LEVEL message". From any thread; keeps errno.
void write_log(LogLevel level, std::string_view message) noexcept;

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
