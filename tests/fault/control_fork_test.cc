// Forked children: what they inherit is not theirs, and does not hide their parent's death.
#include "control_processes.hpp"

namespace hansa::test {
namespace {

enum Request : int { kNothing, kFork, kLeave };
constexpr int kRanks = 3;

// In a process of its own, so that this one stays without threads.
template <class Body>
int status_of(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST(Fork, ChildrenMayNotUseAnInheritedSessionButMayHaveTheirOwn) {
  Processes processes(kRanks, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
    auto session = join(id, rank, kRanks, on_host(rank / 2));
    if (!session.ok()) return report.fail(session.status());
    session.value()->watch({[&report](const Status& why) { report.fail(why); }, {}});
    const int status = status_of([&] {
      const Status refused = session.value()->allgather({}).status();
      if (refused.code() != Code::kInvalidUsage || refused.message().find("fork") == std::string_view::npos)
        return 1;
      session.value()->raise(Status(Code::kInternal, "of a child"));
      session.value()->leave();
      session.value().reset();
      const auto own = create_unique_id(on_host(5));
      if (!own.ok()) return 2;
      auto alone = join(own.value(), 0, 1, on_host(5));
      return alone.ok() && alone.value()->allgather({}).ok() ? 0 : 3;
    });
    if (status != 0) return report.fail(Status(Code::kInternal, "child: " + std::to_string(status)));
    if (const auto table = session.value()->allgather({}); !table.ok()) return report.fail(table.status());
    report.phase = kJoined;
    report.await(kLeave);
  });
  processes.expect_all(kJoined);
  for (Rank rank = 0; rank < kRanks; ++rank) processes.ask(rank, kLeave);
  processes.expect_all(kDone);
}

TEST(Fork, AParentMayMakeTheIdAndForkTheRanks) {
  EXPECT_EQ(0, status_of([] {
              const auto id = create_unique_id(on_host(0));
              if (!id.ok()) return 1;
              Processes processes(
                  kRanks, on_host(0),
                  [](Rank rank, const UniqueId& given, Report& report) {
                    auto session = join(given, rank, kRanks, on_host(rank / 2));
                    if (!session.ok()) return report.fail(session.status());
                    if (const auto table = session.value()->allgather({}); !table.ok())
                      return report.fail(table.status());
                    report.phase = kJoined;
                    report.await(kLeave);
                  },
                  &id.value());
              processes.expect_all(kJoined);
              return testing::Test::HasFailure() ? 2 : 0;
            }));
}

TEST(Fork, AChildThatLivesOnDoesNotHideTheDeathOfItsParent) {
  // Ranks 0, 1 on one host, 2 on another. Every rank has a child that holds copies of all its sockets.
  for (const Rank victim : {0, 1}) {
    Processes processes(kRanks, on_host(0), [](Rank rank, const UniqueId& id, Report& report) {
      if (rank == 1) usleep(30'000);  // rank 0 leads
      auto session = join(id, rank, kRanks, on_host(rank / 2));
      if (!session.ok()) return report.fail(session.status());
      session.value()->watch({[&report](const Status& why) { report.fail(why); }, {}});
      if (fork() == 0) {
        while (report.asked.load() != kLeave) usleep(1000);
        _exit(0);
      }
      report.phase = kJoined;
      report.await(kLeave);
    });
    processes.expect_all(kJoined);
    processes.signal(victim, SIGKILL);
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (rank != victim)
        processes.expect_failed(rank, Code::kRemote,
                                "pid " + std::to_string(processes.pid(victim)) + ") died");
    }
    for (Rank rank = 0; rank < kRanks; ++rank) processes.ask(rank, kLeave);
    usleep(20'000);
  }
}

}  // namespace
}  // namespace hansa::test
