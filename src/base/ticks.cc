#include "base/ticks.hpp"

namespace hansa {
namespace {

constexpr std::int64_t kApart = 1'000'000;

}  // namespace

// The counter is read twice; where the reader was interrupted between, it tries again.
TickMark TickMark::now() noexcept {
  TickMark best;
  std::uint64_t least = ~std::uint64_t{0};
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = ticks();
    const std::int64_t monotonic = clock_ns(CLOCK_MONOTONIC), realtime = clock_ns(CLOCK_REALTIME);
    const std::uint64_t after = ticks();
    if (after - before >= least) continue;
    least = after - before;
    best = {before + least / 2, monotonic, realtime};
  }
  return best;
}

TickScale::TickScale(const TickMark& earlier) noexcept : now_(TickMark::now()) {
  while (now_.monotonic_ns - earlier.monotonic_ns < kApart && now_.monotonic_ns >= earlier.monotonic_ns)
    now_ = TickMark::now();
  ns_per_tick_ = static_cast<double>(now_.monotonic_ns - earlier.monotonic_ns) /
                 static_cast<double>(now_.at - earlier.at);
}

std::int64_t TickScale::ago_ns(std::uint64_t at) const noexcept {
  return static_cast<std::int64_t>(static_cast<double>(static_cast<std::int64_t>(now_.at - at)) *
                                   ns_per_tick_);
}

std::int64_t TickScale::duration_ns(std::uint64_t from, std::uint64_t to) const noexcept {
  return static_cast<std::int64_t>(static_cast<double>(static_cast<std::int64_t>(to - from)) * ns_per_tick_);
}

}  // namespace hansa
