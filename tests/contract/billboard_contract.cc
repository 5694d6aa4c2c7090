// The part of the transport contract about messages that are posted for several peers at once.
#include <algorithm>
#include <vector>

#include "tests/contract/transport_contract.hpp"

namespace hansa::test {
namespace {

// Which of the ranks get a post.
using Peers = std::vector<Rank>;

Peers others(TestRank& self) {
  Peers peers;
  for (Rank peer = 0; peer < self.ranks(); ++peer)
    if (peer != self.rank()) peers.push_back(peer);
  return peers;
}

Billboard* billboard(TestRank& self) { return self.to(others(self).front()).capabilities().billboard; }

// What a post says does not depend on who reads it.
Label label_of(Rank from, std::uint32_t number) { return {from, -1, 0, number, 99}; }

bool has_slots(TestRank& self, const Peers& peers, std::uint16_t lane) {
  return std::all_of(peers.begin(), peers.end(),
                     [&](Rank peer) { return self.to(peer).reserve(lane, 0) != nullptr; });
}

void commit(TestRank& self, const Peers& peers, std::uint16_t lane, const Label& label, std::size_t bytes) {
  std::vector<Billboard::Reader> readers;
  for (const Rank peer : peers) readers.push_back({self.to(peer).capabilities().billboard_place, lane});
  billboard(self)->commit(readers, static_cast<std::uint32_t>(bytes), stamp_of(label));
}

bool post(TestRank& self, const Peers& peers, std::uint16_t lane, const Label& label, std::size_t bytes) {
  std::byte* room = nullptr;
  if (!self.wait(
          [&] { return has_slots(self, peers, lane) && (room = billboard(self)->reserve(0)) != nullptr; }))
    return false;
  EXPECT_EQ(billboard(self)->reserve(0), room);
  fill(label, {room, bytes});
  commit(self, peers, lane, label, bytes);
  return true;
}

TEST_P(TransportContract, HasTheSameBillboardForAllOrNone) {
  run(4, 1, [](TestRank& self) {
    for (const Rank peer : others(self)) {
      const Capabilities& can = self.to(peer).capabilities();
      EXPECT_EQ(can.billboard, billboard(self));
      EXPECT_TRUE(can.billboard == nullptr || can.posts_from > 0);
    }
    if (self.rank() == 0 && billboard(self) == nullptr) printf("(nothing is posted over this transport)\n");
  });
}

// Between messages of their own, on several lanes, more often than there are slots; two at a time, as there
// may be no more.
TEST_P(TransportContract, WhatIsPostedReachesEveryReaderInOrder) {
  run(4, 2, [](TestRank& self) {
    if (billboard(self) == nullptr) return;
    const Peers all = others(self), some(all.begin() + 1, all.end());
    const std::size_t slot = self.capabilities().slot_bytes;
    const std::size_t sizes[] = {1, 8, 57, 64, slot - 1, slot};
    for (std::uint32_t number = 0; number < 5 * self.capabilities().slots; ++number) {
      const std::size_t bytes = sizes[number % std::size(sizes)];
      const auto lane = static_cast<std::uint16_t>(number % 2);
      if (!post(self, all, lane, label_of(self.rank(), number), bytes)) return;
      if (number % 3 == 0 && !post(self, some, lane, label_of(self.rank(), 1000 + number), bytes)) return;
      for (const Rank peer : all)
        if (number % 3 == 1 && !send(self, peer, lane, {self.rank(), peer, lane, number}, bytes)) return;
      for (const Rank peer : all) {
        if (!receive(self, peer, lane, label_of(peer, number), bytes)) return;
        const bool first = self.rank() == (peer == 0 ? 1 : 0);
        if (number % 3 == 0 && !first && !receive(self, peer, lane, label_of(peer, 1000 + number), bytes))
          return;
        if (number % 3 == 1 && !receive(self, peer, lane, {peer, self.rank(), lane, number}, bytes)) return;
      }
    }
  });
}

TEST_P(TransportContract, APostLastsUntilItsLastReaderHasReleasedIt) {
  run(3, 1, [](TestRank& self) {
    if (billboard(self) == nullptr) return;
    const std::uint32_t slots = self.capabilities().slots;
    if (self.rank() == 0) {
      // Filled ahead, from the last to the first.
      for (std::uint32_t ahead = slots; ahead-- > 0;) {
        std::byte* const room = billboard(self)->reserve(ahead);
        ASSERT_NE(room, nullptr);
        fill(label_of(0, ahead), {room, 64});
      }
      for (std::uint32_t number = 0; number < slots; ++number)
        commit(self, {1, 2}, 0, label_of(0, number), 64);
      EXPECT_EQ(billboard(self)->reserve(0), nullptr);
    }
    if (!self.barrier()) return;
    for (std::uint32_t number = 0; self.rank() == 1 && number < slots; ++number)
      if (!receive(self, 0, 0, label_of(0, number), 64)) return;
    if (!self.barrier()) return;
    if (self.rank() == 0) {
      self.poll_for(std::chrono::milliseconds(20));
      EXPECT_EQ(billboard(self)->reserve(0), nullptr) << "the other has not read it";
    }
    if (!self.barrier()) return;
    for (std::uint32_t number = 0; self.rank() == 2 && number < slots; ++number) {
      // As it was, whoever else is done with it.
      if (!receive(self, 0, 0, label_of(0, number), 64)) return;
    }
    if (self.rank() == 0) {
      EXPECT_TRUE(self.wait([&] { return billboard(self)->reserve(slots - 1) != nullptr; }));
    }
  });
}

TEST_P(TransportContract, APostOutlivesTheWayToItsReader) {
  run(3, 1, [](TestRank& self) {
    if (billboard(self) == nullptr) return;
    const std::uint32_t slots = self.capabilities().slots;
    for (std::uint32_t number = 0; self.rank() == 0 && number < slots; ++number)
      if (!post(self, {1, 2}, 0, label_of(0, number), 64)) return;
    for (std::uint32_t number = 0; self.rank() == 1 && number < slots; ++number)
      if (!receive(self, 0, 0, label_of(0, number), 64)) return;
    if (!self.barrier()) return;
    if (self.rank() == 0) {
      self.drop(2);
      EXPECT_EQ(billboard(self)->reserve(0), nullptr) << "it may still read them";
    }
    if (!self.barrier()) return;
    for (std::uint32_t number = 0; self.rank() == 2 && number < slots; ++number)
      if (!receive(self, 0, 0, label_of(0, number), 64)) return;
    (void)self.barrier();
  });
}

}  // namespace
}  // namespace hansa::test
