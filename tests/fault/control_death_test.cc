// Ranks die in every role; everybody else hears which rank, on which host, under which pid.
#include <algorithm>
#include <thread>

#include "control_processes.hpp"

namespace hansa::test {
namespace {

constexpr int kRanks = 5;
int host_of(Rank rank) { return rank / 2; }  // hosts of 2, 2 and 1; ranks 0, 2 and 4 come first and lead

enum Request : int { kNothing, kLeave, kRaise, kExchange, kFork };

// Leaders are the same in every run: the second rank of a host comes when the first has founded the hub.
void come_in_order(Rank rank) {
  if (rank % 2) usleep(30'000);
}

void serve(Session& session, Report& report, int until) {
  session.watch({[&report](const Status& why) { report.fail(why); }, {}});
  report.phase = report.phase == kFailed ? kFailed : kJoined;
  report.await(until);
}

void watcher(Rank rank, const UniqueId& id, Report& report) {
  come_in_order(rank);
  auto session = join(id, rank, kRanks, on_host(host_of(rank)));
  if (!session.ok()) return report.fail(session.status()), report.await(kLeave);
  serve(*session.value(), report, kLeave);
}

std::string name_of(Rank rank, pid_t pid) {
  return "rank " + std::to_string(rank) + " (host h" + std::to_string(host_of(rank)) + ", pid " +
         std::to_string(pid) + ") died";
}

TEST(Death, OfAnyMemberIsToldToAllOthers) {
  for (Rank victim = 0; victim < kRanks; ++victim) {
    Processes processes(kRanks, on_host(0), watcher);
    processes.expect_all(kJoined);
    const auto killed_at = now_ns();
    processes.signal(victim, SIGKILL);
    std::int64_t slowest = 0;
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (rank == victim) continue;
      processes.expect_failed(rank, Code::kRemote, name_of(victim, processes.pid(victim)));
      slowest = std::max(slowest, processes[rank].failed_at_ns - killed_at);
    }
    printf("rank %d killed: the last of the others knew after %.2f ms\n", victim,
           static_cast<double>(slowest) / 1e6);
  }
}

TEST(Death, DuringInitIsToldToAllOthers) {
  // Rank 4 never comes, so that all others still wait.
  for (Rank victim = 0; victim < 4; ++victim) {
    Processes processes(4, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
      come_in_order(rank);
      report.phase = kEntering;
      auto session = join(id, rank, kRanks, on_host(host_of(rank)));
      report.fail(session.status());
      report.await(kLeave);
    });
    processes.expect_all(kEntering);
    usleep(150'000);  // they are all in by then; were one not, its own message would differ
    const auto killed_at = now_ns();
    processes.signal(victim, SIGKILL);
    std::int64_t slowest = 0;
    for (Rank rank = 0; rank < 4; ++rank) {
      if (rank == victim) continue;
      processes.expect_failed(rank, Code::kRemote, name_of(victim, processes.pid(victim)));
      slowest = std::max(slowest, processes[rank].failed_at_ns - killed_at);
    }
    printf("rank %d killed during init: the last of the others knew after %.2f ms\n", victim,
           static_cast<double>(slowest) / 1e6);
  }
}

TEST(Death, OfAProcessWithSeveralRanksNamesThemAll) {
  Processes processes(2, on_host(0), [](Rank process, const UniqueId& id, Report& report) {
    auto body = [&](Rank rank) {
      auto session = join(id, rank, 4, on_host(process));
      if (!session.ok()) return report.fail(session.status());
      serve(*session.value(), report, kLeave);
    };
    std::thread other(body, process * 2 + 1);
    body(process * 2);
    other.join();
  });
  processes.expect_all(kJoined);
  processes.signal(0, SIGKILL);
  processes.expect_failed(1, Code::kRemote,
                          "ranks 0, 1 (host h0, pid " + std::to_string(processes.pid(0)) + ") died");
}

TEST(Leaving, IsNoDeath) {
  for (Rank leaver = 0; leaver < kRanks; ++leaver) {
    Processes processes(kRanks, on_host(0), watcher);
    processes.expect_all(kJoined);
    processes.ask(leaver, kLeave);
    processes.expect(leaver, kDone);
    processes.reap(leaver);
    usleep(100'000);
    for (Rank rank = 0; rank < kRanks; ++rank) {
      EXPECT_EQ(rank == leaver ? kDone : kJoined, processes[rank].phase.load()) << processes[rank].text;
    }
    for (Rank rank = 0; rank < kRanks; ++rank) processes.ask(rank, kLeave);
    processes.expect_all(kDone);
    for (Rank rank = 0; rank < kRanks; ++rank) EXPECT_EQ(0, processes.reap(rank));
  }
}

TEST(Leaving, WithoutSayingSoIsDeath) {
  Processes processes(kRanks, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
    come_in_order(rank);
    auto session = join(id, rank, kRanks, on_host(host_of(rank)));
    if (!session.ok()) return report.fail(session.status());
    if (rank == 3) {
      report.await(kLeave);
      exit(0);  // destructors of static objects run, that of the session does not
    }
    serve(*session.value(), report, kLeave);
  });
  for (const Rank rank : {0, 1, 2, 4}) processes.expect(rank, kJoined);
  processes.ask(3, kLeave);
  for (const Rank rank : {0, 1, 2, 4})
    processes.expect_failed(rank, Code::kRemote, name_of(3, processes.pid(3)));
}

TEST(Raising, ReachesAllOthersWithItsReasonAndTheFirstWins) {
  for (const Rank raiser : {0, 1, 4}) {
    Processes processes(kRanks, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
      auto session = join(id, rank, kRanks, on_host(host_of(rank)));
      if (!session.ok()) return report.fail(session.status());
      session.value()->watch({[&report](const Status& why) { report.fail(why); }, {}});
      report.phase = kJoined;
      while (report.asked == kNothing) usleep(500);
      if (report.asked == kRaise) {
        session.value()->raise(Status(Code::kInvalidUsage, "the counts differ"));
        session.value()->raise(Status(Code::kInternal, "a second reason"));
        const auto after = session.value()->allgather({});
        if (after.ok() || after.status().message() != "the counts differ") return report.fail(after.status());
      }
      report.await(kLeave);
    });
    processes.expect_all(kJoined);
    processes.ask(raiser, kRaise);
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (rank == raiser) continue;
      processes.expect_failed(rank, Code::kInvalidUsage, "the counts differ");
      processes.expect_failed(rank, Code::kInvalidUsage, "rank " + std::to_string(raiser) + " (host h");
    }
    EXPECT_EQ(kJoined, processes[raiser].phase.load()) << processes[raiser].text;
  }
}

TEST(Stopping, IsNoDeath) {
  for (const Rank stopped : {0, 1, 4}) {
    Processes processes(kRanks, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
      auto session = join(id, rank, kRanks, on_host(host_of(rank)));
      if (!session.ok()) return report.fail(session.status());
      session.value()->watch({[&report](const Status& why) { report.fail(why); }, {}});
      report.phase = kJoined;
      report.await(kExchange);
      const auto table = session.value()->allgather(std::vector<std::byte>(60'000));
      if (!table.ok()) return report.fail(table.status());
    });
    processes.expect_all(kJoined);
    processes.signal(stopped, SIGSTOP);
    for (Rank rank = 0; rank < kRanks; ++rank) processes.ask(rank, kExchange);
    usleep(1'500'000);
    for (Rank rank = 0; rank < kRanks; ++rank)
      EXPECT_EQ(kJoined, processes[rank].phase.load()) << processes[rank].text;
    processes.signal(stopped, SIGCONT);
    processes.expect_all(kDone);
  }
}

TEST(Stopping, EndsAnExchangeWithATimeOutThatNamesIt) {
  Processes processes(kRanks, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
    auto session = join(id, rank, kRanks, on_host(host_of(rank), std::chrono::milliseconds(2500)));
    if (!session.ok()) return report.fail(session.status());
    report.phase = kJoined;
    report.await(kExchange);
    const auto table = session.value()->allgather({});
    if (!table.ok()) report.fail(table.status());
    report.await(kLeave);
  });
  processes.expect_all(kJoined);
  processes.signal(3, SIGSTOP);
  for (const Rank rank : {0, 1, 2, 4}) processes.ask(rank, kExchange);
  // Who came to host h1 first leads it. If that is the stopped rank, its neighbour's part is stuck behind it,
  // and the neighbour knows no more than its leader.
  for (const Rank rank : {0, 1, 4}) processes.expect_failed(rank, Code::kRemote, "3 on host h1");
  processes.expect_failed(2, Code::kRemote, "rank 3");
}

}  // namespace
}  // namespace hansa::test
