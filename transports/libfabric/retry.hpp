#pragma once

#include <algorithm>
#include <chrono>

namespace hansa::libfabric {

// When what was refused is tried again: soon, then ever more seldom, since each try costs system calls, while
// a connection comes up or memory is short.
class Retry {
 public:
  bool stalled() const { return stalled_; }
  void taken() { backoff_ = {}; }
  void refused() {
    stalled_ = true;
    backoff_ = std::clamp<Clock::duration>(2 * backoff_, kFirst, kSlowest);
    at_ = Clock::now() + backoff_;
  }
  // Whether it may be tried (again).
  bool due() {
    if (stalled_ && Clock::now() < at_) return false;
    stalled_ = false;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds kFirst{1}, kSlowest{1000};

  bool stalled_ = false;
  Clock::time_point at_{};
  Clock::duration backoff_{};
};

}  // namespace hansa::libfabric
