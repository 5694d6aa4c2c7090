// The cheapest clock that all cores of a machine share: the processor's counter where it runs at one rate for
// ever, else the kernel's monotonic clock.
#pragma once

#include <time.h>

#include <cstdint>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hansa {

inline std::int64_t clock_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{1'000'000'000} * now.tv_sec + now.tv_nsec;
}

// Whether ticks() reads a counter of the processor, whose rate only TickScale knows.
inline bool has_counter() noexcept {
#if defined(__x86_64__)
  constexpr unsigned kPower = 0x80000007, kInvariant = 1u << 8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(kPower, &a, &b, &c, &d) != 0 && (d & kInvariant) != 0;
#elif defined(__aarch64__)
  return true;
#else
  return false;
#endif
}
inline const bool kHasCounter = has_counter();

// About 10 ns. Never 0 once the machine has run for a while.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  if (kHasCounter) [[likely]]
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#endif
  return static_cast<std::uint64_t>(clock_ns(CLOCK_MONOTONIC));
}

// One moment on all clocks.
struct TickMark {
  std::uint64_t at = 0;
  std::int64_t monotonic_ns = 0, realtime_ns = 0;

  static TickMark now() noexcept;
};

// Turns ticks into times, by two marks of one machine: the further apart, the better. Marks less than a
// millisecond apart tell nothing, so the maker waits that long.
class TickScale {
 public:
  explicit TickScale(const TickMark& earlier) noexcept;

  // Nanoseconds since then; negative for ticks to come.
  std::int64_t ago_ns(std::uint64_t at) const noexcept;
  // Since 1970, by the clock as it is now.
  std::int64_t realtime_ns(std::uint64_t at) const noexcept { return now_.realtime_ns - ago_ns(at); }
  std::int64_t duration_ns(std::uint64_t from, std::uint64_t to) const noexcept;

 private:
  TickMark now_;
  double ns_per_tick_;
};

}  // namespace hansa
