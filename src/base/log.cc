#include "base/log.hpp"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace hansa {
namespace {

constexpr Rank kNoRank = -1;

Rank& thread_rank() noexcept {
  thread_local Rank rank = kNoRank;
  return rank;
}

const std::string& host_name() {
  static const std::string name = [] {
    char buffer[256] = {};
    if (::gethostname(buffer, sizeof buffer - 1) != 0) return std::string("unknown");
    return std::string(buffer);
  }();
  return name;
}

std::string_view word_for(LogLevel level) {
  switch (level) {
    case LogLevel::kWarn:
      return "WARN";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kTrace:
      return "TRACE";
    case LogLevel::kNone:
      break;
  }
  return "";
}

}  // namespace

void write_log(LogLevel level, std::string_view message) noexcept {
  const int saved = errno;
  fmt::memory_buffer line;
  fmt::format_to(std::back_inserter(line), "hansa {}:{}", host_name(), ::getpid());
  if (thread_rank() != kNoRank) fmt::format_to(std::back_inserter(line), ":{}", thread_rank());
  fmt::format_to(std::back_inserter(line), " {} {}\n", word_for(level), message);
  // One write, so that the line stays whole; if stderr is full or closed there is nowhere left to say so.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  errno = saved;
}

LogRank::LogRank(Rank rank) noexcept : outer_(std::exchange(thread_rank(), rank)) {}
LogRank::~LogRank() { thread_rank() = outer_; }

}  // namespace hansa
