// The part of the transport contract about slots: order, sizes, credits, lanes, ends.
#include <random>
#include <set>

#include "tests/contract/transport_contract.hpp"

namespace hansa::test {
namespace {

// More than 2^15, where a sequence number kept in 15 bits or fewer comes round. What sanitizers look for
// shows long before.
#ifdef HANSA_SANITIZED
constexpr std::uint32_t kManyTimes = 4'000;
#else
constexpr std::uint32_t kManyTimes = 40'000;
#endif

// Around every boundary that a slot may have inside: cache lines with and without a flag, the slot's end.
std::vector<std::size_t> telling_sizes(std::size_t slot_bytes) {
  std::set<std::size_t> sizes;
  for (const std::size_t size : {0, 1, 7, 8, 31, 48, 55, 56, 57, 63, 64, 65, 119, 120, 121, 127, 128, 1021}) {
    if (size <= slot_bytes) sizes.insert(size);
  }
  sizes.insert({slot_bytes - 1, slot_bytes});
  return {sizes.begin(), sizes.end()};
}

TEST_P(TransportContract, CapabilitiesAreSaneAndShared) {
  run(2, 2, [](TestRank& self) {
    const Capabilities& whole = self.capabilities();
    EXPECT_GE(whole.slot_bytes, 64u);
    EXPECT_EQ(whole.slot_bytes % 64, 0u);
    EXPECT_GE(whole.slots, 2u);
    for (Rank peer = 0; peer < self.ranks(); ++peer) {
      EXPECT_EQ(self.to(peer).capabilities().slot_bytes, whole.slot_bytes);
      EXPECT_EQ(self.to(peer).capabilities().slots, whole.slots);
    }
    EXPECT_FALSE(self.transport().name().empty());
    EXPECT_TRUE(self.transport().status().ok());
  });
}

TEST_P(TransportContract, CarriesEverySizeInOrderBothWaysAtOnce) {
  run(2, 3, [](TestRank& self) {
    const Rank peer = 1 - self.rank();
    std::uint32_t number = 0;
    for (int round = 0; round < 3; ++round) {
      for (const std::size_t bytes : telling_sizes(self.capabilities().slot_bytes)) {
        for (std::uint16_t lane = 0; lane < self.lanes(); ++lane) {
          if (!send(self, peer, lane, {self.rank(), peer, lane, number}, bytes)) return;
        }
        for (std::uint16_t lane = 0; lane < self.lanes(); ++lane) {
          if (!receive(self, peer, lane, {peer, self.rank(), lane, number}, bytes)) return;
        }
        ++number;
      }
    }
  });
}

TEST_P(TransportContract, ReserveAndPeekRepeatAndLookAhead) {
  run(2, 1, [](TestRank& self) {
    const std::uint32_t slots = self.capabilities().slots;
    if (self.rank() == 0) {
      // All slots at once, filled from the last to the first.
      std::vector<std::byte*> reserved(slots);
      for (std::uint32_t ahead = slots; ahead-- > 0;) {
        if (!self.wait([&] { return (reserved[ahead] = self.to(1).reserve(0, ahead)) != nullptr; })) return;
        fill({0, 1, 0, ahead}, {reserved[ahead], 64});
      }
      EXPECT_EQ(std::set<std::byte*>(reserved.begin(), reserved.end()).size(), slots);
      for (std::uint32_t ahead = 0; ahead < slots; ++ahead)
        EXPECT_EQ(self.to(1).reserve(0, ahead), reserved[ahead]);
      for (std::uint32_t number = 0; number < slots; ++number) {
        EXPECT_EQ(self.to(1).reserve(0, 0), reserved[number]);
        self.to(1).commit(0, 64, stamp_of({0, 1, 0, number}));
      }
    } else {
      Arrival last;
      if (!self.wait([&] { return (last = self.to(0).peek(0, slots - 1)).data != nullptr; })) return;
      for (std::uint32_t round = 0; round < 2; ++round) {
        for (std::uint32_t ahead = slots; ahead-- > 0;)
          check(self.to(0).peek(0, ahead), {0, 1, 0, ahead}, 64);
      }
      EXPECT_EQ(self.to(0).peek(0, slots - 1).data, last.data);
      for (std::uint32_t number = 0; number < slots; ++number) {
        check(self.to(0).peek(0, 0), {0, 1, 0, number}, 64);
        self.to(0).release(0);
      }
      EXPECT_EQ(self.to(0).peek(0, 0).data, nullptr);
    }
  });
}

TEST_P(TransportContract, WhatWasCommittedCanBeRead) {
  run(2, 1, [](TestRank& self) {
    const std::uint32_t slots = self.capabilities().slots;
    for (std::uint32_t first = 0; first < 3 * slots; first += slots) {
      for (std::uint32_t number = first; number < first + slots && self.rank() == 1; ++number)
        if (!receive(self, 0, 0, {0, 1, 0, number}, 64)) return;
      std::vector<std::byte*> committed;
      for (std::uint32_t number = first; number < first + slots && self.rank() == 0; ++number) {
        if (!send(self, 1, 0, {0, 1, 0, number}, 64, &committed.emplace_back())) return;
      }
      if (!self.barrier()) return;
      for (std::uint32_t index = 0; index < committed.size(); ++index) {
        const auto sent = content({0, 1, 0, first + index}, 64);
        EXPECT_TRUE(std::equal(sent.begin(), sent.end(), committed[index]));
      }
    }
  });
}

TEST_P(TransportContract, CreditsEndAFloodAndComeBackOneByOne) {
  run(2, 1, [](TestRank& self) {
    const std::uint32_t slots = self.capabilities().slots;
    if (self.rank() == 0) {
      for (std::uint32_t number = 0; number < slots; ++number) {
        if (!send(self, 1, 0, {0, 1, 0, number}, 64)) return;
      }
      // The receiver sleeps: nothing more may fly.
      self.poll_for(std::chrono::milliseconds(30));
      EXPECT_EQ(self.to(1).reserve(0, 0), nullptr);
      if (!self.barrier()) return;
      for (std::uint32_t number = slots; number < 2 * slots; ++number) {
        if (!send(self, 1, 0, {0, 1, 0, number}, 64)) return;
        EXPECT_EQ(self.to(1).reserve(0, 0), nullptr) << "one release must not give two slots";
        if (!self.barrier()) return;
      }
    } else {
      if (!self.barrier()) return;
      for (std::uint32_t number = 0; number < slots; ++number) {
        if (!receive(self, 0, 0, {0, 1, 0, number}, 64) || !self.barrier()) return;
      }
      for (std::uint32_t number = slots; number < 2 * slots; ++number) {
        if (!receive(self, 0, 0, {0, 1, 0, number}, 64)) return;
      }
    }
  });
}

TEST_P(TransportContract, WhatAnIdleTransportSentNeedsItNoMore) {
  run(2, 2, [](TestRank& self) {
    const std::uint32_t slots = self.capabilities().slots;
    const std::size_t bytes = self.capabilities().slot_bytes;
    const Rank peer = 1 - self.rank();
    for (const Rank sender : {0, 1}) {
      for (std::uint32_t number = 0; number < slots; ++number) {
        const Label label{sender, 1 - sender, 1, number};
        if (!(self.rank() == sender ? send(self, peer, 1, label, bytes)
                                    : receive(self, peer, 1, label, bytes)))
          return;
      }
      EXPECT_TRUE(self.transport().idle() || self.transport().capabilities().lingers);
      if (!self.wait([&] { return self.transport().idle(); })) return;
      if (!self.rest()) return;
    }
  });
}

TEST_P(TransportContract, AFullLaneDoesNotHoldUpAnother) {
  run(2, 3, [](TestRank& self) {
    const std::uint32_t slots = self.capabilities().slots;
    if (self.rank() == 0) {
      for (std::uint32_t number = 0; number < slots; ++number) {
        if (!send(self, 1, 1, {0, 1, 1, number}, 63)) return;
      }
      for (std::uint32_t number = 0; number < 5 * slots; ++number) {
        if (!send(self, 1, 0, {0, 1, 0, number}, 3) || !send(self, 1, 2, {0, 1, 2, number}, 64)) return;
      }
    } else {
      for (std::uint32_t number = 0; number < 5 * slots; ++number) {
        if (!receive(self, 0, 2, {0, 1, 2, number}, 64) || !receive(self, 0, 0, {0, 1, 0, number}, 3)) return;
      }
      for (std::uint32_t number = 0; number < slots; ++number) {
        if (!receive(self, 0, 1, {0, 1, 1, number}, 63)) return;
      }
    }
  });
}

// One rank's side of a random exchange: bursts of random length and size in both directions.
class RandomTraffic {
 public:
  RandomTraffic(TestRank& self, Rank peer, std::uint16_t lane, std::uint32_t messages, std::uint32_t salt)
      : self_(self),
        peer_(peer),
        lane_(lane),
        messages_(messages),
        salt_(salt),
        random_(salt + self.rank()) {}

  bool done() const { return sent_ == messages_ && received_ == messages_; }
  // One try in each direction.
  void step() {
    Endpoint& endpoint = self_.to(peer_);
    const std::uint32_t slots = self_.capabilities().slots;
    for (std::uint32_t burst = random_() % (slots + 1); burst > 0 && sent_ < messages_; --burst) {
      std::byte* slot = endpoint.reserve(lane_, 0);
      if (slot == nullptr) break;
      self_.progressed();
      const Label label{self_.rank(), peer_, lane_, sent_++, salt_};
      fill(label, {slot, size_of(label)});
      endpoint.commit(lane_, static_cast<std::uint32_t>(size_of(label)), stamp_of(label));
    }
    for (std::uint32_t burst = random_() % (slots + 1); burst > 0 && received_ < messages_; --burst) {
      const Arrival arrival = endpoint.peek(lane_, 0);
      if (arrival.data == nullptr) break;
      self_.progressed();
      const Label label{peer_, self_.rank(), lane_, received_++, salt_};
      check(arrival, label, size_of(label));
      endpoint.release(lane_);
    }
  }

 private:
  // Mostly small, now and then a whole slot; both sides compute the same.
  std::size_t size_of(const Label& label) const {
    const std::uint32_t h = label.mixed();
    const std::size_t most = self_.capabilities().slot_bytes;
    if (h % 97 == 0) return most;
    return (h >> 8) % (h % 7 == 0 ? 1025 : 66) % most;
  }

  TestRank& self_;
  Rank peer_;
  std::uint16_t lane_;
  std::uint32_t messages_, salt_;
  std::minstd_rand random_;
  std::uint32_t sent_ = 0, received_ = 0;
};

// Drives all streams round robin until all have ended; false when stuck.
bool drive(TestRank& self, std::vector<RandomTraffic>& streams) {
  return self.wait([&] {
    bool all = true;
    for (RandomTraffic& stream : streams) {
      if (!stream.done()) stream.step();
      all = all && stream.done();
    }
    return all || testing::Test::HasFailure();
  });
}

TEST_P(TransportContract, WrapsRoundManyTimes) {
  run(2, 1, [](TestRank& self) {
    std::vector<RandomTraffic> streams{{self, 1 - self.rank(), 0, kManyTimes, 7}};
    drive(self, streams);
  });
}

TEST_P(TransportContract, EveryRankTalksToEveryRankOnEveryLane) {
  run(4, 2, [](TestRank& self) {
    std::vector<RandomTraffic> streams;
    for (Rank peer = 0; peer < self.ranks(); ++peer) {
      for (std::uint16_t lane = 0; lane < self.lanes(); ++lane)
        streams.emplace_back(self, peer, lane, 500, 11);
    }
    drive(self, streams);
  });
}

TEST_P(TransportContract, ARankReachesItself) {
  run(1, 2, [](TestRank& self) {
    const std::uint32_t slots = self.capabilities().slots;
    for (std::uint32_t number = 0; number < 3 * slots; number += slots) {
      for (std::uint32_t i = 0; i < slots; ++i) {
        if (!send(self, 0, 1, {0, 0, 1, number + i}, i)) return;
      }
      for (std::uint32_t i = 0; i < slots; ++i) {
        if (!receive(self, 0, 1, {0, 0, 1, number + i}, i)) return;
      }
    }
    EXPECT_EQ(self.to(0).peek(0, 0).data, nullptr);
  });
}

TEST_P(TransportContract, TwoCommunicatorsDoNotMix) {
  run(2, 1, [](TestRank& self) {
    const auto second = self.another(0x5678);
    ASSERT_NE(second, nullptr);
    std::vector<RandomTraffic> streams;
    streams.emplace_back(self, 1 - self.rank(), 0, 2000, 21);
    streams.emplace_back(*second, 1 - self.rank(), 0, 2000, 22);
    drive(self, streams);
    self.barrier();
  });
}

TEST_P(TransportContract, EitherEndMayGoFirst) {
  for (const Rank first : {0, 1}) {
    run(2, 1, [first](TestRank& self) {
      const Rank peer = 1 - self.rank();
      if (!send(self, peer, 0, {self.rank(), peer, 0, 1}, 61)) return;
      if (!receive(self, peer, 0, {peer, self.rank(), 0, 1}, 61) || !self.barrier()) return;
      if (self.rank() == first) self.drop_all();
      if (!self.barrier()) return;
      if (self.rank() != first) {
        // The other is gone: nothing arrives, and what is sent goes nowhere, quietly.
        EXPECT_EQ(self.to(peer).peek(0, 0).data, nullptr);
        for (std::uint32_t i = 0; i <= self.capabilities().slots; ++i) {
          if (std::byte* slot = self.to(peer).reserve(0, 0)) {
            fill({}, {slot, 64});
            self.to(peer).commit(0, 64, 0);
          }
          self.transport().poll();
        }
      }
    });
  }
}

TEST_P(TransportContract, ConnectRefusesMalformedAddresses) {
  run(1, 1, [](TestRank& self) {
    const std::vector<std::byte> good = self.transport().address();
    std::vector<std::vector<std::byte>> bad = {{}, {std::byte{1}}, std::vector<std::byte>(1024)};
    bad.push_back({good.begin(), good.end() - 1});
    bad.push_back(good);
    bad.back().push_back(std::byte{0});
    std::minstd_rand random(5);
    for (int i = 0; i < 20; ++i) {
      bad.emplace_back(good.size());
      for (std::byte& byte : bad.back()) byte = static_cast<std::byte>(random() >> 8);
    }
    for (const auto& address : bad) {
      const auto connected = self.transport().connect(0, address);
      EXPECT_FALSE(connected.ok()) << "of " << address.size() << " bytes";
      EXPECT_EQ(connected.ok(), connected.status().message().empty());
    }
  });
}

}  // namespace
}  // namespace hansa::test
