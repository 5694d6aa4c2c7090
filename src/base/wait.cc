#include "base/wait.hpp"

#include <sched.h>
#include <time.h>

#include <algorithm>

namespace hansa {
namespace {

constexpr std::uint32_t kSpins = 2048;  // some 20 us of polling
constexpr std::uint32_t kClockEvery = 64;
constexpr std::uint64_t kSleepAfterNs = 1'000'000;
constexpr std::uint64_t kLongestSleepNs = 200'000;

std::uint64_t now_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Waiter::idle() noexcept {
  ++polls_;
  if (!yields_ && polls_ < kSpins) return relax();
  // The clock is read now and then only: a yield costs less than the reading would.
  if (polls_ % kClockEvery == 0) {
    const std::uint64_t now = now_ns();
    if (since_ns_ == 0) since_ns_ = now;
    const std::uint64_t waited = now - since_ns_;
    if (waited > kSleepAfterNs) {
      const auto nap = static_cast<long>(std::min(waited / 16, kLongestSleepNs));
      const timespec sleep{0, nap};
      nanosleep(&sleep, nullptr);
      polls_ = kSpins + kClockEvery - 1;  // the next poll looks at the clock again
      return;
    }
  }
  sched_yield();
}

int usable_cores() noexcept {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace hansa
