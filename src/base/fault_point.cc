#include "base/fault_point.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>

namespace hansa {
namespace {

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kPoints); ++i)
    if (kPoints[i].point != static_cast<Point>(i)) return false;
  return std::size(kPoints) == static_cast<std::size_t>(Point::kEnd);
}
static_assert(in_order());

constinit std::atomic<std::uint32_t> left{0};
constinit std::atomic<FaultKind> kind{FaultKind::kKill};

void limit(__rlimit_resource resource, rlim_t value) {
  rlimit now{};
  getrlimit(resource, &now);
  now.rlim_cur = std::min(value, now.rlim_max);
  setrlimit(resource, &now);
}

// What the process has now is all it gets.
void end_of_memory() {
  unsigned long pages = 0;
  if (std::FILE* const file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  limit(RLIMIT_AS, pages * static_cast<unsigned long>(sysconf(_SC_PAGESIZE)));
}

}  // namespace

bool parse_fault(std::string_view text, Fault& into) {
  const std::size_t equals = text.find('='), colon = text.substr(0, equals).find(':');
  if (equals == text.npos) return false;
  const std::string_view name = text.substr(0, std::min(colon, equals));
  const auto* point = std::find_if(std::begin(kPoints) + 1, std::end(kPoints),
                                   [&](const PointName& one) { return one.name == name; });
  const auto* word = std::find(std::begin(kFaultKinds), std::end(kFaultKinds), text.substr(equals + 1));
  if (point == std::end(kPoints) || word == std::end(kFaultKinds)) return false;
  Fault fault{point->point, 1, static_cast<FaultKind>(word - kFaultKinds)};
  if (colon != text.npos) {
    const char *begin = text.data() + colon + 1, *end = text.data() + equals;
    const auto [at, error] = std::from_chars(begin, end, fault.nth);
    if (error != std::errc() || at != end || fault.nth == 0) return false;
  }
  if (fault.kind == FaultKind::kFail && !point->can_fail) return false;
  into = fault;
  return true;
}

void arm(const Fault& fault) noexcept {
  left.store(fault.nth, std::memory_order_relaxed);
  kind.store(fault.kind, std::memory_order_relaxed);
  fault::armed.store(fault.point, std::memory_order_release);
}

bool fault::strike() noexcept {
  if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  armed.store(Point::kNone, std::memory_order_relaxed);
  if (const auto tell = witness.load(std::memory_order_acquire)) tell();
  switch (kind.load(std::memory_order_relaxed)) {
    case FaultKind::kKill:
      raise(SIGKILL);
      break;
    case FaultKind::kStop:
      kill(getpid(), SIGSTOP);
      break;
    case FaultKind::kExit:
      _exit(0);
    case FaultKind::kDescriptors:
      for (int fd = STDERR_FILENO + 1; fd < 1024; ++fd) close(fd);
      break;
    case FaultKind::kMemory:
      end_of_memory();
      break;
    case FaultKind::kFiles:
      limit(RLIMIT_FSIZE, 0);
      break;
    case FaultKind::kFail:
      return true;
  }
  return false;
}

}  // namespace hansa
