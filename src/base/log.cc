#include "base/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "base/lists.hpp"

namespace hansa {
namespace {

constexpr Rank kNoRank = -1;

Rank& thread_rank() noexcept {
  thread_local Rank rank = kNoRank;
  return rank;
}

std::atomic<bool>& announced() noexcept {
  static std::atomic<bool> done{false};
  return done;
}

const std::string& host_name() {
  static const std::string name = [] {
    char buffer[256] = {};
    if (::gethostname(buffer, sizeof buffer - 1) != 0) return std::string("unknown");
    return std::string(buffer);
  }();
  return name;
}

// Without the domain, and fit for a file's name, as NCCL has it.
std::string host_in_file_name() {
  std::string name = host_name().substr(0, host_name().find('.'));
  for (char& c : name)
    if (c == '/' || c == '%') c = '-';
  return name;
}

bool write_whole(int fd, const char* data, std::size_t size) noexcept {
  return ::write(fd, data, size) == static_cast<ssize_t>(size);
}

// Opened for each line: no descriptor is held that a fork, an exec or a program that closes all it does not
// know could get wrong, and a forked child writes to the file of its own number.
bool write_to_file(const std::string& pattern, const char* data, std::size_t size) {
  const std::string path = expand_percent(pattern, host_in_file_name(), ::getpid());
  if (path == "/dev/stdout") return write_whole(STDOUT_FILENO, data, size);
  if (path == "/dev/stderr") return write_whole(STDERR_FILENO, data, size);
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const int fd = ::open(path.c_str(), kFlags, 0666);
  if (fd < 0) return false;
  const bool written = write_whole(fd, data, size);
  ::close(fd);
  return written;
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
    case LogLevel::kVersion:
      break;
  }
  return "";
}

}  // namespace

void write_log(LogLevel level, std::string_view message) noexcept try {
  const int saved = errno;
  fmt::memory_buffer line;
  if (level != LogLevel::kVersion) {
    fmt::format_to(std::back_inserter(line), "hansa {}:{}", host_name(), ::getpid());
    if (thread_rank() != kNoRank) fmt::format_to(std::back_inserter(line), ":{}", thread_rank());
    fmt::format_to(std::back_inserter(line), " {} ", word_for(level));
  }
  fmt::format_to(std::back_inserter(line), "{}\n", message);
  // One write, so that the line stays whole; if stderr is full or closed there is nowhere left to say so.
  const std::string& file = config().debug_file;
  if (file.empty() || level == LogLevel::kVersion || !write_to_file(file, line.data(), line.size()))
    (void)write_whole(STDERR_FILENO, line.data(), line.size());
  errno = saved;
} catch (const std::bad_alloc&) {
  return;  // memory is short: so is this
}

std::string version_text() {
  const int code = config().nccl_version;
  return fmt::format("NCCL version {}.{}.{}+hansa" HANSA_PROJECT_VERSION, code / 10000, code / 100 % 100,
                     code % 100);
}

void announce_library(Rank rank) {
  const LogLevel level = config().debug;
  if (level == LogLevel::kNone || level == LogLevel::kWarn || announced().exchange(true)) return;
  if (rank == 0) write_log(std::min(level, LogLevel::kInfo), version_text());
  for (const Finding& finding : reading().findings) {
    const Variable& variable = finding.variable;
    const std::string_view why = finding.why;
    if (finding.fate == Finding::Fate::kTaken)
      HANSA_INFO_ON(kEnv, "{} set by {} to {}{}{}", variable.name, variable.origin, variable.value,
                    why.empty() ? "" : "; ", why);
    else
      HANSA_INFO_ON(kEnv, "{}={} ({}) has no effect: {}", variable.name, variable.value, variable.origin,
                    why);
  }
}

LogRank::LogRank(Rank rank) noexcept : outer_(std::exchange(thread_rank(), rank)) {}
LogRank::~LogRank() { thread_rank() = outer_; }

}  // namespace hansa
