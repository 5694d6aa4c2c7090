// Ranks as threads, hosts as names: joining, exchanging, and what the root's connections and messages come
// to.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstring>
#include <latch>
#include <random>
#include <set>
#include <thread>

#include "bootstrap/network_address.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa {
namespace {

using bootstrap::NetworkAddress;
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

// One rank's try to meet the others of its session again.
Result<std::unique_ptr<Session>> try_to_meet(Session& session, const std::string& occasion, int host,
                                             milliseconds timeout) {
  HANSA_ASSIGN_OR_RETURN(const UniqueId id, session.reunion(0, std::as_bytes(std::span(occasion))));
  SessionOptions options = options_on(host, timeout);
  options.root_may_be_late = true;
  return join(id, session.rank(), session.ranks(), options);
}

TEST(Session, ATryThatEndsTakesNoOtherWithIt) {
  constexpr Rank kRanks = 3;
  for (const Rank impatient : {0, 1})
    for (const int hosts : {1, 3}) {
      std::latch first_is_over(1);
      on_all(
          kRanks, [=](Rank rank) { return rank % hosts; },
          [&](Session& session) {
            const int host = session.rank() % hosts;
            if (session.rank() == impatient) {
              std::this_thread::sleep_for(milliseconds(50));
              const auto first = try_to_meet(session, "again", host, milliseconds(200));
              EXPECT_NE(std::string::npos,
                        first.status().message().find("1 of 3 ranks did not join within 0.2 s: rank 2"))
                  << first.status().c_str();
              first_is_over.count_down();
            }
            if (session.rank() == 2) first_is_over.wait();
            const auto again = try_to_meet(session, "again", host, milliseconds(20'000));
            ASSERT_TRUE(again.ok()) << again.status().c_str();
            EXPECT_TRUE(again.value()->allgather({}).ok());
          });
    }
}

// Who cannot come says so; whoever was not there yet hears it, too, but once: its next try is another.
TEST(Session, WhyOneCannotComeToAReunionIsToldToEachOnce) {
  constexpr Rank kRanks = 5, kLame = 3;  // and those after it
  for (const int hosts : {1, 2, 4}) {
    on_all(
        kRanks, [=](Rank rank) { return rank % hosts; },
        [&](Session& session) {
          const auto id = session.reunion(0, std::as_bytes(std::span(std::string_view("lame"))));
          ASSERT_TRUE(id.ok() && session.allgather({}).ok());
          SessionOptions options = options_on(session.rank() % hosts, milliseconds(60'000));
          options.root_may_be_late = true;
          const auto begin = std::chrono::steady_clock::now();
          if (session.rank() >= kLame) {
            SessionOptions nowhere = options;
            nowhere.interface = "nosuch7";
            EXPECT_FALSE(join(id.value(), session.rank(), kRanks, nowhere).ok());
          } else {
            std::this_thread::sleep_for(milliseconds(100) * (session.rank() / 2));
            const auto first = join(id.value(), session.rank(), kRanks, options);
            EXPECT_NE(std::string::npos, first.status().message().find(" of 5 could not join: "))
                << first.status().c_str();
          }
          const auto again =
              join(session.reunion(0, std::as_bytes(std::span(std::string_view("lame")))).value(),
                   session.rank(), kRanks, options);
          ASSERT_TRUE(again.ok()) << "rank " << session.rank() << " of " << hosts
                                  << " hosts: " << again.status().c_str();
          EXPECT_TRUE(again.value()->allgather({}).ok());
          EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
        });
  }
}

// Nobody fails before its own time is over, and all succeed together.
TEST(Session, TriesThatBeginAndEndAtAnyTimeMeetInTheEnd) {
  constexpr Rank kRanks = 4;
  std::atomic<int> exchanges{0};
  for (int round = 0; round < 30; ++round) {
    const int hosts = 1 << round % 3;
    on_all(
        kRanks, [=](Rank rank) { return rank % hosts; },
        [&](Session& session) {
          std::minstd_rand random(static_cast<unsigned>(round * kRanks + session.rank() + 1));
          for (int tries = 0; tries < 200; ++tries) {
            std::this_thread::sleep_for(milliseconds(random() % 60));
            const milliseconds timeout(5 + random() % 60);
            const auto begin = std::chrono::steady_clock::now();
            const auto again = try_to_meet(session, "in the end", session.rank() % hosts, timeout);
            if (again.ok()) {
              // Its exchanges have as little time as joining had; who has not met fails below.
              const auto all = again.value()->allgather({});
              exchanges += all.ok() ? 1 : 0;
              EXPECT_TRUE(all.ok() || all.status().code() == Code::kRemote) << all.status().c_str();
              return;
            }
            ASSERT_EQ(Code::kRemote, again.status().code());
            ASSERT_LE(timeout, std::chrono::steady_clock::now() - begin) << again.status().c_str();
          }
          FAIL() << "not met";
        });
  }
  EXPECT_GT(exchanges, 0);
}

// A port that was free a moment ago; nothing where the machine has no such address.
std::string free_place(const std::string& host = "127.0.0.1") {
  NetworkAddress address = bootstrap::choose_address(host).value();
  return bootstrap::listen_tcp(&address, 0, 0).ok() ? address.text() : "";
}

SessionOptions at_meeting(const std::string& place, const std::string& secret = "word") {
  SessionOptions options;
  options.timeout = milliseconds(20'000);
  options.meeting_point = place;
  options.secret = secret;
  return options;
}

Result<std::unique_ptr<Session>> join_at(const SessionOptions& options, Rank rank, Rank ranks) {
  HANSA_ASSIGN_OR_RETURN(const UniqueId id, create_unique_id(options));
  return join(id, rank, ranks, options);
}

// Each rank makes the id by itself and again for every round; ranks may be rounds apart, and what was made
// before goes on working.
TEST(MeetingPoint, HasOneRoundAfterTheOther) {
  constexpr Rank kRanks = 3;
  constexpr int kRounds = 4;
  const std::string place = free_place();
  std::vector<std::unique_ptr<Session>> sessions[kRanks];
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      SessionOptions options = options_on(rank / 2);
      options.meeting_point = place;
      for (int round = 0; round < kRounds; ++round) {
        auto session = join_at(options, (rank + round) % kRanks, kRanks);
        ASSERT_TRUE(session.ok()) << session.status().c_str();
        sessions[rank].push_back(std::move(session).value());
      }
      for (int round = kRounds; round-- > 0;) {
        Session& session = *sessions[rank][static_cast<std::size_t>(round)];
        const auto all = session.allgather(bytes_of(session.rank() + round, 5));
        ASSERT_TRUE(all.ok()) << all.status().c_str();
        for (Rank other = 0; other < kRanks; ++other)
          EXPECT_EQ(bytes_of(other + round, 5), all.value()[static_cast<std::size_t>(other)]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> numbers;
  for (const auto& session : sessions[0]) numbers.insert(session->number());
  EXPECT_EQ(static_cast<std::size_t>(kRounds), numbers.size());
}

TEST(MeetingPoint, MayBeAnIpv6Address) {
  const std::string place = free_place("::1");
  if (place.empty()) {
    printf("not tried: this machine has no IPv6 loopback address\n");
    return;
  }
  Result<std::unique_ptr<Session>> zero = Status(), one = Status();
  std::thread first([&] { zero = join_at(at_meeting(place), 0, 2); });
  std::thread second([&] { one = join_at(at_meeting(place), 1, 2); });
  first.join();
  second.join();
  ASSERT_TRUE(zero.ok() && one.ok()) << zero.status().c_str() << one.status().c_str();
  EXPECT_EQ(zero.value()->number(), one.value()->number());
}

TEST(MeetingPoint, GivesEveryProcessTheSameId) {
  const auto id_of = [](const SessionOptions& options) { return create_unique_id(options).value(); };
  EXPECT_EQ(id_of(at_meeting("127.0.0.1:9")), id_of(at_meeting("127.0.0.1:9")));
  EXPECT_NE(id_of(at_meeting("127.0.0.1:9")), id_of(at_meeting("127.0.0.1:8")));
  EXPECT_NE(id_of(at_meeting("127.0.0.1:9")), id_of(at_meeting("127.0.0.2:9")));
  EXPECT_NE(id_of(at_meeting("127.0.0.1:9", "a")), id_of(at_meeting("127.0.0.1:9", "b")));
  EXPECT_EQ(Code::kInvalidArgument, create_unique_id(at_meeting("nowhere")).status().code());
  EXPECT_EQ(Code::kInvalidUsage,
            create_unique_id(at_meeting("127.0.0.1:9", "@/no/such/file")).status().code());
}

TEST(MeetingPoint, LetsNobodyInWithAnotherSecret) {
  const std::string place = free_place();
  std::atomic<bool> cancelled{false};
  Status zero;
  std::thread honest([&] {
    SessionOptions options = at_meeting(place);
    options.cancelled = &cancelled;
    zero = join_at(options, 0, 2).status();
  });
  SessionOptions guess = at_meeting(place, "guessed");
  guess.timeout = milliseconds(300);
  bool met = false;
  for (int tries = 0; tries < 60 && !met; ++tries) {  // rank 0 may not be there yet
    const Status one = join_at(guess, 1, 2).status();
    EXPECT_EQ(Code::kRemote, one.code()) << one.c_str();
    EXPECT_NE(one.message().find("with the same NCCL_COMM_ID and HANSA_SECRET?"), std::string::npos)
        << one.c_str();
    met = one.message().find("it hung up") != std::string::npos;
  }
  EXPECT_TRUE(met);
  cancelled = true;
  honest.join();
  EXPECT_EQ(Code::kAborted, zero.code()) << zero.c_str();
}

TEST(MeetingPoint, SaysWhyRankZeroCannotServe) {
  // An address of documentation's, which is nobody's.
  const Status elsewhere = join_at(at_meeting("192.0.2.1:4711"), 0, 2).status();
  EXPECT_NE(elsewhere.message().find("rank 0 must run on the host"), std::string::npos) << elsewhere.c_str();
  NetworkAddress address = bootstrap::choose_address("127.0.0.1").value();
  const auto taken = bootstrap::listen_tcp(&address, 0, 0).value();
  const Status busy = join_at(at_meeting(address.text()), 0, 2).status();
  EXPECT_EQ(Code::kSystem, busy.code()) << busy.c_str();
  EXPECT_NE(busy.message().find("no other program may use the port"), std::string::npos) << busy.c_str();
  EXPECT_TRUE(join_at(at_meeting(address.text()), 0, 1).ok());  // alone there is nobody to meet
}

TEST(MeetingPoint, RefusesAnotherNumberOfRanksAndASecondRoundAtOnce) {
  const std::string place = free_place();
  std::atomic<bool> cancelled{false};
  SessionOptions waiting = at_meeting(place);
  waiting.cancelled = &cancelled;
  Status zero;
  std::thread first([&] { zero = join_at(waiting, 0, 3).status(); });
  SessionOptions odd = at_meeting(place);
  const Status one = join_at(odd, 1, 2).status();
  EXPECT_EQ(Code::kInvalidUsage, one.code()) << one.c_str();
  EXPECT_NE(one.message().find("all ranks must pass the same number"), std::string::npos) << one.c_str();
  const Status second = join_at(at_meeting(place), 0, 3).status();
  EXPECT_EQ(Code::kInvalidUsage, second.code()) << second.c_str();
  EXPECT_NE(second.message().find("one after the other"), std::string::npos) << second.c_str();
  cancelled = true;
  first.join();
  EXPECT_EQ(Code::kAborted, zero.code()) << zero.c_str();
  // And so may one that asks.
  waiting.cancelled = &cancelled;
  EXPECT_EQ(Code::kAborted, join_at(waiting, 1, 2).status().code());
}

}  // namespace
}  // namespace hansa
