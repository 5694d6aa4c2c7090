// The contract over two and three rails; then rails that die, between messages and within them, and come
// back.
#include "transports/rails/rails.hpp"

#include <array>
#include <mutex>
#include <random>
#include <thread>

#include "tests/contract/transport_contract.hpp"
#include "tests/support/cable_transport.hpp"
#include "tests/support/delaying_transport.hpp"
#include "transports/inproc/inproc.hpp"
#include "transports/libfabric/libfabric.hpp"

namespace hansa::test {
namespace {

// One host each, which the address of a rail also is over libfabric.
const std::vector<Interface> kRails = {{"a", "127.0.0.1"}, {"b", "127.0.0.2"}, {"c", "127.0.0.3"}};

Result<std::unique_ptr<Transport>> open_over(const TransportOptions& options, std::size_t rails,
                                             const OpenRail& open_rail) {
  TransportOptions wish = options;
  wish.rails = std::span(kRails).first(rails);
  wish.neighbours = 1;
  wish.nearest_rail = static_cast<std::uint32_t>(rails - 1);
  return open_rails(wish, open_rail);
}

Result<std::unique_ptr<Transport>> two_inproc(const TransportOptions& options) {
  return open_over(options, 2, [](const TransportOptions& one) { return open_inproc(one, {1088, 8}); });
}
Result<std::unique_ptr<Transport>> small_inproc(const TransportOptions& options) {
  return open_over(options, 2, [](const TransportOptions& one) { return open_inproc(one, {128, 2}); });
}
// Each rail at its own changing pace.
Result<std::unique_ptr<Transport>> three_delayed(const TransportOptions& options) {
  return open_over(options, 3, [](const TransportOptions& one) -> Result<std::unique_ptr<Transport>> {
    HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(one, {256, 4}));
    const auto seed =
        static_cast<std::uint64_t>(one.rank) * 7 + static_cast<std::uint64_t>(one.interface.back());
    return delaying_transport(std::move(inner), one.lanes, seed);
  });
}
Result<std::unique_ptr<Transport>> two_libfabric(const TransportOptions& options) {
  return open_over(options, 2, [](const TransportOptions& one) { return open_libfabric(one); });
}

INSTANTIATE_TEST_SUITE_P(Rails, TransportContract,
                         testing::Values(TransportCase{"Inproc", RunAs::kThreads, two_inproc},
                                         TransportCase{"Small", RunAs::kThreads, small_inproc},
                                         TransportCase{"Delayed", RunAs::kThreads, three_delayed}),
                         case_name);
INSTANTIATE_TEST_SUITE_P(RailsOverLibfabric, TransportContract,
                         testing::Values(TransportCase{"Threads", RunAs::kThreads, two_libfabric},
                                         TransportCase{"Processes", RunAs::kProcesses, two_libfabric}),
                         case_name);

// Two rails whose cables can be pulled, and what each rank was last told of them.
struct Rails {
  std::array<std::shared_ptr<std::atomic<Cable>>, 2> cables = {
      std::make_shared<std::atomic<Cable>>(Cable::kWhole),
      std::make_shared<std::atomic<Cable>>(Cable::kWhole)};
  bool stripes = true;
  std::mutex mutex;
  std::array<RailCounts, 2> counts;

  RailCounts told(Rank rank) {
    const std::lock_guard lock(mutex);
    return counts[static_cast<std::size_t>(rank)];
  }
  GroupOptions group(std::uint16_t lanes) {
    const auto open = [this](const TransportOptions& options) {
      TransportOptions wish = options;
      wish.rails = std::span(kRails).first(2);
      wish.neighbours = stripes ? 1 : 2;
      wish.rails_changed = [this, rank = options.rank](const RailCounts& now) {
        const std::lock_guard lock(mutex);
        counts[static_cast<std::size_t>(rank)] = now;
      };
      return open_rails(wish, [this](const TransportOptions& one) -> Result<std::unique_ptr<Transport>> {
        HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(one, {576, 8}));
        return cable_transport(std::move(inner), one.lanes,
                               cables[one.interface == kRails[0].address ? 0 : 1]);
      });
    };
    return {.ranks = 2, .lanes = lanes, .open = open, .memory = {}};
  }
};

// Both ranks send and receive messages of both lanes, as many as they are told to, each known by its content.
class Traffic {
 public:
  explicit Traffic(TestRank& self) : self_(self), peer_(1 - self.rank()) {}

  // Until so many in all have come and gone on each lane; `each` is called after every one that comes.
  bool run(
      std::uint32_t messages, const std::function<void(std::uint32_t)>& each = [](std::uint32_t) {}) {
    return self_.wait([&] {
      bool all = true;
      for (std::uint16_t lane = 0; lane < kLanes; ++lane) all = step(lane, messages, each) && all;
      return all || testing::Test::HasFailure();
    });
  }
  static constexpr std::uint16_t kLanes = 2;

 private:
  static std::size_t size_of(const Label& label) {
    return label.mixed() % 3 == 0 ? 512 : label.mixed() % 513;
  }
  bool step(std::uint16_t lane, std::uint32_t messages, const std::function<void(std::uint32_t)>& each) {
    if (sent_[lane] < messages)
      if (std::byte* const slot = self_.to(peer_).reserve(lane, 0)) {
        const Label label{self_.rank(), peer_, lane, sent_[lane]++};
        fill(label, {slot, size_of(label)});
        self_.to(peer_).commit(lane, static_cast<std::uint32_t>(size_of(label)), stamp_of(label));
        self_.progressed();
      }
    if (received_[lane] < messages)
      if (const Arrival arrival = self_.to(peer_).peek(lane, 0); arrival.data != nullptr) {
        const Label label{peer_, self_.rank(), lane, received_[lane]++};
        check(arrival, label, size_of(label));
        self_.to(peer_).release(lane);
        self_.progressed();
        each(received_[lane]);
      }
    return sent_[lane] == messages && received_[lane] == messages;
  }

  TestRank& self_;
  const Rank peer_;
  std::array<std::uint32_t, kLanes> sent_{}, received_{};
};

bool until(TestRank& self, Rails& rails, const std::function<bool(const RailCounts&)>& holds) {
  return self.wait([&] { return holds(rails.told(self.rank())); });
}

// What is on its way in the dead rail, in slots and in user's hands, goes again; nothing twice.
TEST(RailsThatDie, InTheMiddleOfMessages) {
  for (const Cable how : {Cable::kPulled, Cable::kCut})
    for (const std::size_t dead : {0u, 1u})
      for (const std::uint32_t when : {1u, 2u, 5u, 60u}) {
        Rails rails;
        run_ranks(rails.group(Traffic::kLanes), [&](TestRank& self) {
          Traffic traffic(self);
          const auto pull = [&](std::uint32_t received) {
            if (self.rank() == 0 && received == when) rails.cables[dead]->store(how);
          };
          if (!traffic.run(200, pull)) return;
          // This rank is a peer, too.
          if (how == Cable::kCut &&
              !until(self, rails, [](const RailCounts& told) { return told.down == 2; }))
            return;
          if (!self.barrier()) return;
          const RailCounts told = rails.told(self.rank());
          EXPECT_EQ(2u, told.rails);
          EXPECT_EQ(told.down, told.lost);
        });
        EXPECT_LE(1u, rails.told(0).lost + rails.told(1).lost);
        EXPECT_TRUE(how == Cable::kCut || rails.told(0).resent + rails.told(1).resent > 0);
      }
}

TEST(RailsThatDie, BetweenMessages) {
  Rails rails;
  run_ranks(rails.group(Traffic::kLanes), [&](TestRank& self) {
    Traffic traffic(self);
    if (!traffic.run(100) || !self.barrier()) return;
    self.poll_for(std::chrono::milliseconds(20));
    if (!self.barrier()) return;
    rails.cables[0]->store(Cable::kPulled);
    if (!traffic.run(200)) return;
    self.barrier();
  });
}

// All that the dead rail still held comes after all, and is dropped.
TEST(RailsThatDie, ComeBackWithWhatTheyHeld) {
  Rails rails;
  run_ranks(rails.group(Traffic::kLanes), [&](TestRank& self) {
    Traffic traffic(self);
    std::uint32_t messages = 0;
    for (std::uint32_t round = 1; round <= 3; ++round) {
      const auto pull = [&](std::uint32_t received) {
        if (received == messages - 150) rails.cables[round % 2]->store(Cable::kPulled);
      };
      messages += 200;
      if (!traffic.run(messages, pull)) return;
      if (!until(self, rails, [&](const RailCounts& told) { return told.lost >= round; }) || !self.barrier())
        return;
      messages += 200;
      if (!traffic.run(messages) || !self.barrier()) return;
      rails.cables[round % 2]->store(Cable::kWhole);
      messages += 200;
      if (!traffic.run(messages)) return;
      if (!until(self, rails, [](const RailCounts& told) { return told.down == 0; }) || !self.barrier())
        return;
      EXPECT_EQ(rails.told(self.rank()).back, rails.told(self.rank()).lost);
    }
  });
}

// Who is asked over the second alone, while the first still holds an older ask, answers over the first.
TEST(RailsThatDie, OneComesBackWhileTheOtherIsDoubted) {
  Rails rails;
  std::thread mender;
  run_ranks(rails.group(Traffic::kLanes), [&](TestRank& self) {
    Traffic traffic(self);
    const auto pull = [&](std::uint32_t received) {
      if (received == 50) rails.cables[0]->store(Cable::kPulled);
    };
    if (!traffic.run(200, pull)) return;
    if (!until(self, rails, [](const RailCounts& told) { return told.lost > 0; }) || !self.barrier()) return;
    const auto pull_other = [&](std::uint32_t received) {
      if (self.rank() != 0 || received != 250 || mender.joinable()) return;
      rails.cables[1]->store(Cable::kPulled);
      mender = std::thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(350));
        rails.cables[0]->store(Cable::kWhole);
      });
    };
    if (!traffic.run(400, pull_other)) return;
    self.barrier();
  });
  if (mender.joinable()) mender.join();
}

TEST(RailsThatDie, WhileAMessageIsWritten) {
  Rails rails;
  run_ranks(rails.group(1), [&](TestRank& self) {
    constexpr std::uint32_t kReserved = 4;
    if (self.rank() == 0) {
      std::array<std::byte*, kReserved> slots{};
      for (std::uint32_t ahead = 0; ahead < kReserved; ++ahead)
        if (!self.wait([&] { return (slots[ahead] = self.to(1).reserve(0, ahead)) != nullptr; })) return;
      rails.cables[0]->store(Cable::kCut);
      if (!until(self, rails, [](const RailCounts& told) { return told.lost > 0; })) return;
      for (std::uint32_t ahead = 0; ahead < kReserved; ++ahead) {
        EXPECT_EQ(slots[ahead], self.to(1).reserve(0, 0));
        fill({0, 1, 0, ahead}, {slots[ahead], 300});
        self.to(1).commit(0, 300, stamp_of({0, 1, 0, ahead}));
      }
    } else {
      for (std::uint32_t number = 0; number < kReserved; ++number)
        if (!receive(self, 0, 0, {0, 1, 0, number}, 300)) return;
    }
    self.barrier();
  });
}

// A rank with interfaces enough uses its own; the other is there for when it dies.
TEST(Rails, NearestAloneWhereRanksAreMany) {
  Rails rails;
  rails.stripes = false;
  rails.cables[1]->store(Cable::kPulled);
  run_ranks(rails.group(Traffic::kLanes), [&](TestRank& self) {
    Traffic traffic(self);
    if (!traffic.run(100)) return;
    self.poll_for(std::chrono::milliseconds(700));
    EXPECT_EQ(0u, rails.told(self.rank()).lost);
    if (!self.barrier()) return;
    rails.cables[1]->store(Cable::kWhole);
    rails.cables[0]->store(Cable::kPulled);
    if (!traffic.run(200)) return;
    self.barrier();
  });
}

TEST(RailsThatDie, AllOfThem) {
  Rails rails;
  TransportOptions alone;
  auto transport = rails.group(1).open(alone).value();
  auto self = transport->connect(0, transport->address()).value();
  for (const auto& cable : rails.cables) cable->store(Cable::kCut);
  for (int polls = 0; polls < 100 && transport->status().ok(); ++polls) transport->poll();
  EXPECT_EQ(Code::kRemote, transport->status().code());
  EXPECT_EQ(nullptr, self->reserve(0, 0));
}

// The word of it rides on a message that is not wanted before there is room.
TEST(Rails, ARankThatWaitsForRoomHearsOfIt) {
  Rails rails;
  run_ranks(rails.group(1), [](TestRank& self) {
    constexpr std::uint32_t kSlots = 8;
    for (std::uint32_t number = 0; number < kSlots; ++number) {
      const Label label{0, 1, 0, number};
      if (!(self.rank() == 0 ? send(self, 1, 0, label, 64) : receive(self, 0, 0, label, 64))) return;
    }
    if (self.rank() == 1 && !send(self, 0, 0, {1, 0, 0, 0}, 64)) return;
    if (!self.barrier()) return;
    EXPECT_TRUE(self.rank() == 1 || self.to(1).reserve(0, kSlots - 1) != nullptr);
    self.barrier();
  });
}

TEST(Rails, OneIsNoneAtAll) {
  TransportOptions alone;
  alone.rails = std::span(kRails).first(1);
  const auto transport =
      open_rails(alone, [](const TransportOptions& one) { return open_inproc(one); }).value();
  EXPECT_EQ(kInprocSlots.bytes, transport->capabilities().slot_bytes);
}

}  // namespace
}  // namespace hansa::test
