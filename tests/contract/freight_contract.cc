// The part of the transport contract about long messages without slots.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>

#include "tests/contract/transport_contract.hpp"

namespace hansa::test {
namespace {

// One message without a slot, as its receiver or its sender waits for it: in memory of the group's kind where
// it has one, and else in any.
struct Passage {
  Bytes memory;
  Completion done;

  Passage() = default;
  Passage(const Passage&) = delete;
  ~Passage() { EXPECT_TRUE(owner_ == nullptr || owner_->free(memory.data()).ok()); }
  void allocate(Memory* owner, std::size_t bytes) {
    owner_ = owner;
    if (owner == nullptr) any_.resize(bytes);
    memory = {owner == nullptr ? any_.data() : owner->allocate(bytes).value(), bytes};
  }
  bool holds(BytesView content) const {
    return std::equal(memory.begin(), memory.end(), content.begin(), content.end());
  }

 private:
  Memory* owner_ = nullptr;
  std::vector<std::byte> any_;
};

bool done(TestRank& self, const Passage& passage) {
  return self.wait([&] { return passage.done.state != Completion::State::kPending; }) &&
         passage.done.state == Completion::State::kDone;
}

bool carries(TestRank& self, Rank peer) { return self.to(peer).capabilities().freight != nullptr; }

Label label_of(Rank from, Rank to, std::uint32_t lane, std::uint32_t number) {
  return {from, to, lane, number, 77};
}

void land(TestRank& self, Rank peer, std::uint16_t lane, Passage& passage, std::size_t bytes,
          bool own = true) {
  passage.allocate(own ? self.memory() : nullptr, bytes);
  std::fill(passage.memory.begin(), passage.memory.end(), std::byte{0x5a});
  self.to(peer).capabilities().freight->land(lane, passage.memory, passage.done);
}

bool launch(TestRank& self, Rank peer, std::uint16_t lane, std::uint32_t number, Passage& passage,
            std::size_t bytes, bool own = true) {
  Freight& freight = *self.to(peer).capabilities().freight;
  passage.allocate(own ? self.memory() : nullptr, bytes);
  fill(label_of(self.rank(), peer, lane, number), passage.memory);
  if (!self.wait([&] { return freight.ready(lane); })) return false;
  EXPECT_TRUE(freight.ready(lane));
  freight.launch(lane, passage.memory, passage.done);
  return true;
}

void expect_content(TestRank& self, Rank peer, std::uint16_t lane, std::uint32_t number,
                    const Passage& passage) {
  EXPECT_TRUE(passage.holds(content(label_of(peer, self.rank(), lane, number), passage.memory.size())))
      << "message " << number << " of lane " << lane << " from " << peer;
}

// A lane's messages both ways, with as many landings open as may be, each of another length, and some of them
// in any memory.
bool exchange(TestRank& self, Rank peer, std::uint16_t lane, std::uint32_t messages) {
  const std::size_t from = self.to(peer).capabilities().freight_from;
  const auto bytes = [&](std::uint32_t number) { return from + number * 4099 % (5 * from); };
  std::deque<Passage> landings(messages), launches(messages);
  std::uint32_t landed = 0;
  for (std::uint32_t number = 0; number < messages; ++number) {
    for (; landed < messages && landed < number + Freight::kWindow; ++landed)
      land(self, peer, lane, landings[landed], bytes(landed), landed % 3 != 0);
    if (!launch(self, peer, lane, number, launches[number], bytes(number), number % 2 != 0)) return false;
    if (!done(self, landings[number]) || !done(self, launches[number])) return false;
    expect_content(self, peer, lane, number, landings[number]);
  }
  return true;
}

TEST_P(TransportContract, FreightIsTheSameForBothEnds) {
  run(2, 2, [](TestRank& self) {
    const Capabilities& can = self.to(1 - self.rank()).capabilities();
    EXPECT_EQ(can.freight != nullptr, can.freight_lanes > 0);
    const std::array<std::size_t, 2> mine = {can.freight_lanes, can.freight_from};
    std::byte* slot = nullptr;
    if (!self.wait([&] { return (slot = self.to(1 - self.rank()).reserve(0, 0)) != nullptr; })) return;
    std::memcpy(slot, mine.data(), sizeof mine);
    self.to(1 - self.rank()).commit(0, sizeof mine, 0);
    Arrival arrival;
    if (!self.wait([&] { return (arrival = self.to(1 - self.rank()).peek(0, 0)).data != nullptr; })) return;
    EXPECT_EQ(std::memcmp(arrival.data, mine.data(), sizeof mine), 0);
    self.to(1 - self.rank()).release(0);
  });
}

TEST_P(TransportContract, FreightArrivesWholeInOrderOnEveryLaneBothWays) {
  run(3, 2, [](TestRank& self) {
    for (Rank peer = 0; peer < self.ranks(); ++peer) {
      if (peer == self.rank() || !carries(self, peer)) continue;
      for (std::uint16_t lane = 0; lane < self.to(peer).capabilities().freight_lanes; ++lane)
        if (!exchange(self, peer, lane, 40)) return;
    }
  });
}

TEST_P(TransportContract, FreightWaitsForAPlaceToLandAndHoldsUpNoSlot) {
  run(2, 1, [](TestRank& self) {
    const Rank peer = 1 - self.rank();
    if (!carries(self, peer)) return;
    const std::size_t bytes = 3 * self.to(peer).capabilities().freight_from;
    Passage passage;
    if (self.rank() == 0) {
      if (!send(self, 1, 0, label_of(0, 1, 0, 0), 64)) return;
      self.poll_for(std::chrono::milliseconds(20));
      EXPECT_FALSE(self.to(1).capabilities().freight->ready(0)) << "nobody has said where it lands";
      if (!self.barrier() || !launch(self, 1, 0, 1, passage, bytes)) return;
      EXPECT_FALSE(self.to(1).capabilities().freight->ready(0)) << "one landing is for one launch";
      if (!send(self, 1, 0, label_of(0, 1, 0, 2), 64) || !done(self, passage)) return;
      if (!self.barrier()) return;
    } else {
      if (!receive(self, 0, 0, label_of(0, 1, 0, 0), 64) || !self.barrier()) return;
      land(self, 0, 0, passage, bytes);
      if (!receive(self, 0, 0, label_of(0, 1, 0, 2), 64) || !done(self, passage)) return;
      expect_content(self, 0, 0, 1, passage);
      if (!self.barrier()) return;
    }
  });
}

TEST_P(TransportContract, NoFreightLandsAfterQuiesce) {
  run(2, 1, [](TestRank& self) {
    const Rank peer = 1 - self.rank();
    if (!carries(self, peer)) return;
    const std::size_t bytes = 64 * self.to(peer).capabilities().freight_from;
    std::deque<Passage> passages(Freight::kWindow);
    if (self.rank() == 0) {
      for (std::uint32_t number = 0; number < Freight::kWindow; ++number)
        if (!launch(self, 1, 0, number, passages[number], bytes)) return;
      if (!done(self, passages[0]) || !self.rest()) return;
      if (!self.barrier()) return;
      self.to(1).quiesce();
      (void)self.barrier();
    } else {
      for (Passage& passage : passages) land(self, 0, 0, passage, bytes);
      if (!self.wait([&] { return passages[0].done.state == Completion::State::kDone; })) return;
      if (!self.rest()) return;
      self.to(0).quiesce();
      std::deque<std::vector<std::byte>> then;
      for (const Passage& passage : passages) then.emplace_back(passage.memory.begin(), passage.memory.end());
      if (!self.barrier()) return;
      self.poll_for(std::chrono::milliseconds(20));
      for (std::size_t i = 0; i < then.size(); ++i) EXPECT_TRUE(passages[i].holds(then[i])) << i;
      (void)self.barrier();
    }
  });
}

}  // namespace
}  // namespace hansa::test
