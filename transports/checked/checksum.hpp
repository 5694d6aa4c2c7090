// A checksum of bytes in 64 bits, as fast as they are read from cache. Whatever is damaged within one word of
// 8 bytes is found for certain; anything else with a chance of 2^-64 to miss it. No protection against an
// enemy.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "hansa/types.hpp"

namespace hansa::checked {

class Checksum {
 public:
  void add(std::uint64_t word) noexcept { step(lanes_[0], word); }
  void add(BytesView bytes) noexcept {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= sizeof lanes_; left -= sizeof lanes_, at += sizeof lanes_) {
      std::uint64_t words[kLanes];
      std::memcpy(words, at, sizeof words);
      for (std::size_t i = 0; i < kLanes; ++i) step(lanes_[i], words[i]);
    }
    for (; left > 0; left -= std::min(left, sizeof(std::uint64_t)), at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, std::min(left, sizeof word));
      step(lanes_[0], word);
      if (left < sizeof word) break;
    }
    step(lanes_[0], bytes.size());
  }
  std::uint64_t value() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t lane : lanes_) step(sum, lane);
    return sum ^ (sum >> 32);
  }

 private:
  static constexpr std::size_t kLanes = 8;
  // Reversible in each of its two arguments, so that one that differs makes the result differ.
  static void step(std::uint64_t& lane, std::uint64_t word) noexcept {
    lane = std::rotl((lane ^ word) * 0x9e3779b97f4a7c15u, 29);
  }

  std::uint64_t lanes_[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8};
};

}  // namespace hansa::checked
