// Storms of -FI_EAGAIN: a post is refused until the completion queue has been read a few times, as on a NIC
// whose queues are full. The same seed gives the same storms to the same calls.
#pragma once

#include <cstdint>

namespace hansa::cxi_rules {

class Storm {
 public:
  // More refusals than this without a look at the queue: the caller would spin for ever.
  static constexpr std::uint32_t kPatience = 1000;

  void seed(std::uint64_t seed) { state_ = seed; }
  // Whether the next post is refused. Without a seed it never is.
  bool refuses() {
    if (reads_needed_ == 0 && state_ != 0 && next() % 8 == 0) reads_needed_ = 1 + next() % 4;
    return reads_needed_ != 0;
  }
  // A post was refused, by a storm or a full queue; true when it was one too often.
  bool refused() { return ++refusals_ > kPatience; }
  void read() {
    refusals_ = 0;
    if (reads_needed_ != 0) --reads_needed_;
  }
  // Even odds.
  bool coin() { return state_ == 0 || next() % 2 == 0; }

 private:
  // Xorshift: Marsaglia, "Xorshift RNGs", 2003.
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ >> 11;
  }

  std::uint64_t state_ = 0;
  std::uint32_t reads_needed_ = 0;
  std::uint32_t refusals_ = 0;
};

}  // namespace hansa::cxi_rules
