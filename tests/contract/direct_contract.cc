// The part of the transport contract about memory reached without a slot.
#include <cstring>

#include "tests/contract/transport_contract.hpp"

namespace hansa::test {
namespace {

// Memory that a peer should be able to reach, and where it comes from.
struct Reachable {
  std::string_view kind;
  Bytes bytes;
  bool mappable = false;  // map() must reach it
};

// A rank's memory of every kind that the endpoint's capabilities speak of; none where there is no direct
// access.
class ReachableMemory {
 public:
  ReachableMemory(TestRank& self, Rank peer, std::size_t bytes) : self_(self), private_(bytes) {
    const Capabilities& can = self.to(peer).capabilities();
    if (can.direct) kinds_.push_back({"private", private_, false});
    if (!can.direct_own || self.memory() == nullptr) return;
    auto allocated = self.memory()->allocate(bytes);
    EXPECT_TRUE(allocated.ok()) << allocated.status().c_str();
    if (!allocated.ok()) return;
    own_ = allocated.value();
    kinds_.push_back({"own", {own_, bytes}, true});
  }
  ~ReachableMemory() { EXPECT_TRUE(own_ == nullptr || self_.memory()->free(own_).ok()); }
  ReachableMemory(const ReachableMemory&) = delete;
  const std::vector<Reachable>& kinds() const { return kinds_; }

 private:
  TestRank& self_;
  std::vector<std::byte> private_;
  std::byte* own_ = nullptr;
  std::vector<Reachable> kinds_;
};

bool send_descriptor(TestRank& self, Rank peer, BytesView memory) {
  const Descriptor descriptor = self.to(peer).describe(memory);
  std::byte* slot = nullptr;
  if (!self.wait([&] { return (slot = self.to(peer).reserve(0, 0)) != nullptr; })) return false;
  std::memcpy(slot, &descriptor, sizeof descriptor);
  self.to(peer).commit(0, sizeof descriptor, 0);
  return true;
}

bool receive_descriptor(TestRank& self, Rank peer, Descriptor& descriptor) {
  Arrival arrival;
  if (!self.wait([&] { return (arrival = self.to(peer).peek(0, 0)).data != nullptr; })) return false;
  EXPECT_EQ(arrival.bytes, sizeof descriptor);
  std::memcpy(&descriptor, arrival.data, sizeof descriptor);
  self.to(peer).release(0);
  return true;
}

bool settled(TestRank& self, const Completion& completion) {
  return self.wait([&] { return completion.state != Completion::State::kPending; });
}

// Both ends poll all the time, whether the copies count on that or not.
auto get_and_put(bool attended, std::size_t longest) {
  return [=](TestRank& self) {
    constexpr std::size_t kBytes = 300'007;
    const Rank peer = 1 - self.rank();
    const ReachableMemory memory(self, peer, kBytes);
    std::uint32_t salt = 0;
    for (const Reachable& mine : memory.kinds()) {
      // Rank 0's memory holds a pattern; rank 1 reads all of it in pieces and writes every other piece anew.
      if (self.rank() == 0) {
        fill({0, 1, 0, 0, salt}, mine.bytes);
        if (!send_descriptor(self, peer, mine.bytes) || !receive(self, 1, 0, {1, 0, 0, 1, salt}, 0)) return;
        auto expected = content({0, 1, 0, 0, salt}, kBytes);
        for (std::size_t at = 0, piece = 0; at < kBytes; at += longest, ++piece) {
          if (piece % 2 == 0)
            fill({1, 0, 0, 2, salt}, Bytes(expected).subspan(at, std::min(longest, kBytes - at)));
        }
        EXPECT_EQ(std::memcmp(expected.data(), mine.bytes.data(), kBytes), 0) << mine.kind;
      } else {
        Descriptor theirs;
        if (!receive_descriptor(self, peer, theirs)) return;
        std::vector<std::byte> copy(kBytes);
        for (std::size_t at = 0, piece = 0; at < kBytes; at += longest, ++piece) {
          const std::size_t bytes = std::min(longest, kBytes - at);
          Completion got{.attended = attended}, put{.attended = attended};
          self.to(peer).get(theirs, at, Bytes(copy).subspan(at, bytes), got);
          if (!settled(self, got)) return;
          EXPECT_EQ(got.state, Completion::State::kDone) << mine.kind;
          if (piece % 2 != 0) continue;
          const auto anew = content({1, 0, 0, 2, salt}, bytes);
          self.to(peer).put(theirs, at, anew, put);
          if (!settled(self, put)) return;
          EXPECT_EQ(put.state, Completion::State::kDone) << mine.kind;
        }
        EXPECT_EQ(copy, content({0, 1, 0, 0, salt}, kBytes)) << mine.kind;
        if (!send(self, 0, 0, {1, 0, 0, 1, salt}, 0)) return;
      }
      ++salt;
    }
  };
}

TEST_P(TransportContract, GetsAndPutsByPieces) { run(2, 1, get_and_put(false, 4099)); }

TEST_P(TransportContract, GetsAndPutsWhatThePeerAttendsTo) { run(2, 1, get_and_put(true, 40'009)); }

// More at a time than any transport may have room for, half of them read and half of them written.
TEST_P(TransportContract, BeginsManyGetsAndPutsAtOnce) {
  run(2, 1, [](TestRank& self) {
    constexpr std::size_t kPieces = 40, kPiece = 20'011, kBytes = kPieces * kPiece;
    const Rank peer = 1 - self.rank();
    const ReachableMemory memory(self, peer, kBytes);
    for (const Reachable& mine : memory.kinds()) {
      const std::vector<std::byte> before = content({0, 1, 0, 0, 11}, kBytes),
                                   anew = content({1, 0, 0, 2, 12}, kBytes);
      std::vector<std::byte> copy(kBytes), expected = before;
      const auto piece_of = [](auto& bytes, std::size_t i) {
        return std::span(bytes).subspan(i * kPiece, kPiece);
      };
      for (std::size_t i = 1; i < kPieces; i += 2)
        std::memcpy(piece_of(expected, i).data(), piece_of(anew, i).data(), kPiece);
      if (self.rank() == 0) {
        std::memcpy(mine.bytes.data(), before.data(), kBytes);
        if (!send_descriptor(self, peer, mine.bytes) || !receive(self, 1, 0, {1, 0, 0, 1, 13}, 0)) return;
        EXPECT_EQ(std::memcmp(mine.bytes.data(), expected.data(), kBytes), 0) << mine.kind;
      } else {
        Descriptor theirs;
        if (!receive_descriptor(self, peer, theirs)) return;
        std::vector<Completion> done(kPieces, Completion{.attended = true});
        for (std::size_t i = 0; i < kPieces; ++i)
          if (i % 2 == 0)
            self.to(peer).get(theirs, i * kPiece, piece_of(copy, i), done[i]);
          else
            self.to(peer).put(theirs, i * kPiece, piece_of(anew, i), done[i]);
        for (std::size_t i = 0; i < kPieces; ++i) {
          if (!settled(self, done[i])) return;
          EXPECT_EQ(done[i].state, Completion::State::kDone) << mine.kind << " " << i;
          if (i % 2 == 0) {
            EXPECT_EQ(std::memcmp(piece_of(copy, i).data(), piece_of(before, i).data(), kPiece), 0) << i;
          }
        }
        if (!send(self, 0, 0, {1, 0, 0, 1, 13}, 0)) return;
      }
    }
  });
}

TEST_P(TransportContract, MapsWhatItCan) {
  run(2, 1, [](TestRank& self) {
    constexpr std::size_t kBytes = 70'001;
    const Rank peer = 1 - self.rank();
    const ReachableMemory memory(self, peer, kBytes);
    for (const Reachable& mine : memory.kinds()) {
      // The described part begins inside the allocation, away from every page boundary.
      const Bytes part = mine.bytes.subspan(4104, kBytes - 5000);
      if (self.rank() == 0) {
        fill({0, 1, 0, 3}, part);
        if (!send_descriptor(self, peer, part) || !receive(self, 1, 0, {1, 0, 0, 4}, 0)) return;
        EXPECT_TRUE(!mine.mappable || part[17] == std::byte{99});
      } else {
        Descriptor theirs;
        if (!receive_descriptor(self, peer, theirs)) return;
        std::byte* const mapped = self.to(peer).map(theirs);
        EXPECT_TRUE(!mine.mappable || mapped != nullptr);
        EXPECT_EQ(self.to(peer).map(theirs), mapped) << "the second time";
        if (mapped != nullptr) {
          EXPECT_EQ(std::memcmp(mapped, content({0, 1, 0, 3}, part.size()).data(), part.size()), 0)
              << mine.kind;
          mapped[17] = std::byte{99};
        }
        if (!send(self, 0, 0, {1, 0, 0, 4}, 0)) return;
      }
    }
  });
}

TEST_P(TransportContract, RefusesPiecesOutsideTheDescription) {
  run(2, 1, [](TestRank& self) {
    const Rank peer = 1 - self.rank();
    const ReachableMemory memory(self, peer, 8192);
    for (const Reachable& mine : memory.kinds()) {
      Descriptor theirs;
      if (!send_descriptor(self, peer, mine.bytes) || !receive_descriptor(self, peer, theirs)) return;
      std::vector<std::byte> local(64);
      for (const std::size_t offset : {std::size_t{8192 - 63}, std::size_t{8192}, ~std::size_t{0} - 7}) {
        Completion got, put;
        self.to(peer).get(theirs, offset, local, got);
        self.to(peer).put(theirs, offset, local, put);
        if (!settled(self, got) || !settled(self, put)) return;
        EXPECT_EQ(got.state, Completion::State::kFailed) << offset;
        EXPECT_EQ(put.state, Completion::State::kFailed) << offset;
      }
      Completion nothing;
      self.to(peer).get(theirs, 8192, {}, nothing);
      if (!settled(self, nothing) || !self.barrier()) return;
      EXPECT_EQ(nothing.state, Completion::State::kDone);
    }
  });
}

TEST_P(TransportContract, QuiesceEndsAccess) {
  run(2, 1, [](TestRank& self) {
    const Rank peer = 1 - self.rank();
    ReachableMemory memory(self, peer, 4096);
    Completion last;
    if (!memory.kinds().empty()) {
      const Bytes target = memory.kinds().front().bytes;
      if (self.rank() == 0) {
        if (!send_descriptor(self, peer, target) || !receive(self, 1, 0, {1, 0, 0, 5}, 8)) return;
        self.to(peer).quiesce();
        const std::vector<std::byte> before(target.begin(), target.end());
        self.poll_for(std::chrono::milliseconds(30));
        EXPECT_EQ(std::memcmp(before.data(), target.data(), target.size()), 0);
      } else {
        Descriptor theirs;
        if (!receive_descriptor(self, peer, theirs)) return;
        // Writes without pause until refused.
        for (std::uint32_t i = 0; i < 1'000'000 && last.state != Completion::State::kFailed; ++i) {
          const auto anew = content({1, 0, 0, i}, target.size());
          last.state = Completion::State::kPending;
          self.to(peer).put(theirs, 0, anew, last);
          const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
          while (last.state == Completion::State::kPending && std::chrono::steady_clock::now() < end)
            self.transport().poll();
          if (last.state == Completion::State::kPending) break;
          if (i == 0 && !send(self, 0, 0, {1, 0, 0, 5}, 8)) return;
        }
        EXPECT_NE(last.state, Completion::State::kDone);
      }
    }
    self.barrier();
    self.to(peer).quiesce();
    self.barrier();
    self.drop_all();
  });
}

}  // namespace
}  // namespace hansa::test
