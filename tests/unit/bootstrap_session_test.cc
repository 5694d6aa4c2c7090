// Ranks as threads, hosts as names: joining, exchanging, and what the root's connections and messages come
// to.
#include <gtest/gtest.h>

#include <barrier>
#include <cstring>
#include <thread>

#include "hansa/bootstrap.hpp"

namespace hansa {
namespace {

using std::chrono::milliseconds;

SessionOptions options_on(int host, milliseconds timeout = milliseconds(20'000)) {
  SessionOptions options;
  options.interface = "127.0.0." + std::to_string(host + 1);
  options.host_id = "host" + std::to_string(host);
  options.timeout = timeout;
  return options;
}

std::vector<std::byte> bytes_of(Rank rank, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>((static_cast<std::size_t>(rank) * 31 + i * 7) & 255u);
  return bytes;
}

// Runs `body(session)` on a thread per rank; `host_of(rank)` places it.
template <class HostOf, class Body>
void on_all(Rank ranks, HostOf host_of, Body body) {
  const auto id = create_unique_id(options_on(host_of(0)));
  ASSERT_TRUE(id.ok()) << id.status().c_str();
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      auto session = join(id.value(), rank, ranks, options_on(host_of(rank)));
      ASSERT_TRUE(session.ok()) << session.status().c_str();
      body(*session.value());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Session, TellsEveryRankWhoIsWhere) {
  for (const Rank ranks : {1, 2, 3, 7}) {
    on_all(
        ranks, [](Rank rank) { return rank / 2; },
        [&](Session& session) {
          ASSERT_EQ(ranks, session.ranks());
          ASSERT_EQ(static_cast<std::size_t>(ranks), session.members().size());
          for (Rank rank = 0; rank < ranks; ++rank) {
            const Member& member = session.members()[static_cast<std::size_t>(rank)];
            EXPECT_EQ("host" + std::to_string(rank / 2), member.host);
            EXPECT_EQ(getpid(), member.pid);
            EXPECT_EQ(session.members()[0].process, member.process);
            EXPECT_NE(0u, member.process);
          }
        });
  }
}

TEST(Session, ExchangesPartsOfAnySizeAgainAndAgain) {
  constexpr Rank kRanks = 5;
  on_all(
      kRanks, [](Rank rank) { return rank % 3; },
      [](Session& session) {
        for (const std::size_t size :
             {std::size_t{0}, std::size_t{1}, std::size_t{4099}, std::size_t{64} << 10}) {
          const auto size_at = [size](Rank rank) {
            return size == 4099 ? size + static_cast<std::size_t>(rank) : size;
          };
          const auto all = session.allgather(bytes_of(session.rank(), size_at(session.rank())));
          ASSERT_TRUE(all.ok()) << all.status().c_str();
          ASSERT_EQ(static_cast<std::size_t>(kRanks), all.value().size());
          for (Rank rank = 0; rank < kRanks; ++rank) {
            EXPECT_EQ(bytes_of(rank, size_at(rank)), all.value()[static_cast<std::size_t>(rank)]);
          }
        }
        EXPECT_EQ(Code::kInvalidArgument,
                  session.allgather(std::vector<std::byte>((64 << 10) + 1)).status().code());
      });
}

TEST(Session, RootTakesOneConnectionPerHostAndLogarithmicallyManyMessages) {
  for (int hosts = 2; hosts <= 16; ++hosts) {
    RootTraffic joined, exchanged;
    // Nobody goes on while the first rank reads: what the others do next would be counted already.
    std::barrier together(hosts * 2);
    on_all(
        hosts * 2, [](Rank rank) { return rank / 2; },
        [&](Session& session) {
          if (session.rank() == 0) joined = session.root_traffic();
          together.arrive_and_wait();
          EXPECT_TRUE(session.allgather({}).ok());
          if (session.rank() == 0) exchanged = session.root_traffic();
          together.arrive_and_wait();
        });
    int log = 0;
    while ((1 << log) < hosts) ++log;
    const auto of_one = exchanged.messages - joined.messages;
    printf(
        "%2d hosts: %2d connections at the root; messages: %d for joining, %d for an exchange (2 log2 = "
        "%d)\n",
        hosts, static_cast<int>(joined.connections), static_cast<int>(joined.messages),
        static_cast<int>(of_one), 2 * log);
    EXPECT_EQ(static_cast<std::uint64_t>(hosts), joined.connections);
    EXPECT_LE(of_one, static_cast<std::uint64_t>(2 * log));
    EXPECT_LE(joined.messages, static_cast<std::uint64_t>(3 * log));
  }
}

// Some of the ranks meet again on their own, while or after their session fails; the one that is to be found
// comes last.
TEST(Session, RanksMeetAgain) {
  constexpr Rank kRanks = 6, kGone = 2, kHost = 1;
  on_all(
      kRanks, [](Rank rank) { return rank % 3; },
      [](Session& session) {
        (void)session.allgather({});  // all have joined
        if (session.rank() == kGone) return session.raise(Status(Code::kRemote, "that was all"));
        if (session.rank() == kHost) std::this_thread::sleep_for(milliseconds(30));
        const std::string occasion = "without the third";
        const auto id = session.reunion(kHost, std::as_bytes(std::span(occasion)));
        ASSERT_TRUE(id.ok()) << id.status().c_str();
        SessionOptions options = options_on(session.rank() % 3);
        options.root_may_be_late = true;
        const Rank place = session.rank() - (session.rank() > kGone ? 1 : 0);
        auto again = join(id.value(), place, kRanks - 1, options);
        ASSERT_TRUE(again.ok()) << again.status().c_str();
        const auto said = again.value()->allgather(bytes_of(session.rank(), 5));
        ASSERT_TRUE(said.ok()) << said.status().c_str();
        EXPECT_EQ(bytes_of(kRanks - 1, 5), said.value().back());
        EXPECT_NE(session.number(), again.value()->number());
      });
}

TEST(Session, AReunionWithoutItsHostEnds) {
  on_all(
      2, [](Rank rank) { return rank; },
      [](Session& session) {
        const std::string occasion = "nobody else comes";
        if (session.rank() == 0) {
          const auto id = session.reunion(1, std::as_bytes(std::span(occasion)));
          SessionOptions options = options_on(0, milliseconds(300));
          options.root_may_be_late = true;
          const auto again = join(id.value(), 0, 2, options);
          EXPECT_EQ(Code::kRemote, again.status().code());
          EXPECT_NE(std::string::npos, std::string(again.status().c_str()).find("did not come"))
              << again.status().c_str();
        }
        EXPECT_TRUE(session.allgather({}).ok());
      });
}

}  // namespace
}  // namespace hansa
