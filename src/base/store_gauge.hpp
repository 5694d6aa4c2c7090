// Whether memory that a peer reads, again and again, is better written past the caches. What the peer has
// read lies in its cache. Cores that share a cache take it back at once; between others that costs more than
// all the rest of a message, and writing past the caches is several times as fast. Which it is shows in the
// time that filling takes, and changes when threads or virtual cores move.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hansa {

class StoreGauge {
 public:
  // `slow`: 1 KiB that takes longer with ordinary stores had to be taken back from afar
  // (docs/performance.md).
  explicit StoreGauge(std::chrono::nanoseconds slow = std::chrono::nanoseconds(130)) : slow_kib_(slow) {}

  bool streams() const noexcept { return streamed_ > 0; }
  // Whether the next fill is to be timed.
  bool wants_time() const noexcept { return streamed_ == 0 && untimed_ >= kTimedEvery; }
  // After every fill, with its time if that is known, else 0.
  void filled(std::size_t bytes, std::chrono::nanoseconds took) noexcept {
    if (streamed_ > 0) {
      --streamed_;
      return;
    }
    ++untimed_;
    if (took == took.zero()) return;
    untimed_ = 0;
    slow_ = took.count() * 1024 > slow_kib_.count() * static_cast<std::int64_t>(bytes) ? slow_ + 1 : 0;
    if (slow_ < kSlowInARow) return;
    slow_ = kSlowInARow - 1;  // one more is enough when it is tried again
    streamed_ = kStreamedInARow;
  }

 private:
  static constexpr std::uint32_t kSlowInARow = 4, kStreamedInARow = 512, kTimedEvery = 4;
  std::chrono::nanoseconds slow_kib_;
  std::uint32_t untimed_ = 0, slow_ = 0, streamed_ = 0;
};

}  // namespace hansa
