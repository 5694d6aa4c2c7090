// Messages whose content tells where they come from, so that a lost, doubled, torn or misplaced one shows.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/contract/rank_group.hpp"

namespace hansa::test {

// Which message this is; every field goes into every byte.
struct Label {
  Rank from = 0;
  Rank to = 0;
  std::uint32_t lane = 0;
  std::uint32_t number = 0;
  std::uint32_t salt = 0;

  std::uint32_t mixed() const {
    std::uint32_t h = salt * 0x9e3779b1u + number;
    h = (h ^ (h >> 15)) * 0x85ebca77u + static_cast<std::uint32_t>(from);
    h = (h ^ (h >> 13)) * 0xc2b2ae3du + static_cast<std::uint32_t>(to);
    h = (h ^ (h >> 16)) * 0x27d4eb2fu + lane;
    return h ^ (h >> 15);
  }
};

inline void fill(const Label& label, Bytes bytes) {
  std::uint32_t x = label.mixed() | 1;
  for (std::byte& byte : bytes) {
    x = x * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(x >> 24);
  }
}

inline std::vector<std::byte> content(const Label& label, std::size_t bytes) {
  std::vector<std::byte> filled(bytes);
  fill(label, filled);
  return filled;
}

inline std::uint32_t stamp_of(const Label& label) { return label.mixed() * 2654435761u; }

// Sends when there is room; false if there never was. `used`: where it lay.
inline bool send(TestRank& self, Rank peer, std::uint16_t lane, const Label& label, std::size_t bytes,
                 std::byte** used = nullptr) {
  std::byte* slot = nullptr;
  if (!self.wait([&] { return (slot = self.to(peer).reserve(lane, 0)) != nullptr; })) return false;
  fill(label, {slot, bytes});
  if (used != nullptr) *used = slot;
  self.to(peer).commit(lane, static_cast<std::uint32_t>(bytes), stamp_of(label));
  return true;
}

// Checks one arrived slot against its label.
inline bool check(const Arrival& arrival, const Label& label, std::size_t bytes) {
  EXPECT_EQ(arrival.bytes, bytes) << "message " << label.number << " from " << label.from;
  EXPECT_EQ(arrival.stamp, stamp_of(label)) << "message " << label.number << " from " << label.from;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arrival.data) % 8, 0u);
  const auto expected = content(label, bytes);
  const bool equal = arrival.bytes == bytes && std::equal(expected.begin(), expected.end(), arrival.data);
  EXPECT_TRUE(equal) << "content of message " << label.number << " from " << label.from << " lane "
                     << label.lane;
  return equal && arrival.stamp == stamp_of(label);
}

// Waits for the next message, checks it, gives the slot back.
inline bool receive(TestRank& self, Rank peer, std::uint16_t lane, const Label& label, std::size_t bytes) {
  Arrival arrival;
  if (!self.wait([&] { return (arrival = self.to(peer).peek(lane, 0)).data != nullptr; })) return false;
  const bool good = check(arrival, label, bytes);
  self.to(peer).release(lane);
  return good;
}

}  // namespace hansa::test
