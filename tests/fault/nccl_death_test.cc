// A rank is killed: every pending call of the others ends with an error that names it.
#include <algorithm>
#include <cstdio>
#include <random>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

constexpr double kBound = 5;  // promised is one second
constexpr std::size_t kCount = 100003;

struct Work {
  const char* name;
  ncclResult_t (*call)(ncclComm_t comm, int rank, int ranks, int* in, int* out);
};

const Work kWorks[] = {
    {"AllReduce", [](ncclComm_t c, int, int, int* i,
                     int* o) { return ncclAllReduce(i, o, kCount, ncclInt, ncclSum, c, nullptr); }},
    {"AllGather",
     [](ncclComm_t c, int, int, int* i, int* o) { return ncclAllGather(i, o, kCount, ncclInt, c, nullptr); }},
    {"ReduceScatter", [](ncclComm_t c, int, int, int* i,
                         int* o) { return ncclReduceScatter(i, o, kCount, ncclInt, ncclSum, c, nullptr); }},
    {"AlltoAll",
     [](ncclComm_t c, int, int, int* i, int* o) { return ncclAlltoAll(i, o, kCount, ncclInt, c, nullptr); }},
    {"Reduce", [](ncclComm_t c, int, int, int* i,
                  int* o) { return ncclReduce(i, o, kCount, ncclInt, ncclSum, 0, c, nullptr); }},
    {"Broadcast", [](ncclComm_t c, int, int, int* i,
                     int* o) { return ncclBroadcast(i, o, kCount, ncclInt, 0, c, nullptr); }},
    {"Gather",
     [](ncclComm_t c, int, int, int* i, int* o) { return ncclGather(i, o, kCount, ncclInt, 0, c, nullptr); }},
    {"Scatter", [](ncclComm_t c, int, int, int* i,
                   int* o) { return ncclScatter(i, o, kCount, ncclInt, 0, c, nullptr); }},
    {"Barrier", [](ncclComm_t c, int, int, int*, int*) { return hansaBarrier(c, nullptr); }},
    {"SendRecv",
     [](ncclComm_t c, int rank, int ranks, int* i, int* o) {
       ncclGroupStart();
       (void)ncclSend(i, kCount, ncclInt, (rank + 1) % ranks, c, nullptr);
       (void)ncclRecv(o, kCount, ncclInt, (rank + ranks - 1) % ranks, c, nullptr);
       return ncclGroupEnd();
     }},
};

// Works until a call fails; then aborts.
void work_until_failure(const Work& work, int rank, int ranks, const ncclUniqueId& id, Report& report) {
  std::vector<int> in(kCount * static_cast<std::size_t>(ranks)), out(in.size());
  ncclComm_t comm = nullptr;
  ncclResult_t result = ncclCommInitRank(&comm, ranks, id, rank);
  report.phase = 1;
  while (result == ncclSuccess) result = work.call(comm, rank, ranks, in.data(), out.data());
  // Roots of one-way collectives may be done before they hear of it: the next call, or this one, tells.
  report.note(result, comm);
  report.phase = 2;
  if (ncclCommAbort(comm) != ncclSuccess) _exit(3);
}

double kill_and_judge(Processes& processes, int victim) {
  const std::string pid = "pid " + std::to_string(processes.pid(victim));
  const double killed = seconds_now();
  processes.kill(victim);
  double worst = 0;
  for (int rank = 0; rank < processes.ranks(); ++rank) {
    if (rank == victim) continue;
    processes.expect_end(rank);
    processes.expect(rank, ncclRemoteError, {"rank " + std::to_string(victim), host_name(), pid});
    worst = std::max(worst, processes[rank].at - killed);
  }
  EXPECT_LT(worst, kBound);
  return worst;
}

class Death : public testing::TestWithParam<Work> {};

TEST_P(Death, DuringCollective) {
  std::mt19937 random(20240229);
  double worst = 0;
  for (const int ranks : {2, 4})
    for (int round = 0; round < 2; ++round) {
      const int victim = static_cast<int>(random() % static_cast<unsigned>(ranks));
      Processes processes(ranks, [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
        work_until_failure(GetParam(), rank, ranks, id, report);
      });
      for (int rank = 0; rank < ranks; ++rank) processes.await_phase(rank, 1);
      usleep(random() % 20'000);
      SCOPED_TRACE("victim " + std::to_string(victim) + " of " + std::to_string(ranks));
      worst = std::max(worst, kill_and_judge(processes, victim));
    }
  std::printf("%s: all calls ended within %.3f s of the death\n", GetParam().name, worst);
}

INSTANTIATE_TEST_SUITE_P(Nccl, Death, testing::ValuesIn(kWorks),
                         [](const auto& row) { return row.param.name; });

// The victim's peers have come and wait for one that is missing; then for the dead one.
TEST(Death, DuringInit) {
  double worst = 0;
  for (const int ranks : {3, 5})
    for (const int victim : {0, 1}) {
      Processes processes(
          ranks,
          [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared& shared) {
            report.phase = 1;
            if (rank == ranks - 1)
              while (!shared.go.load(std::memory_order_acquire)) usleep(500);
            ncclComm_t comm = nullptr;
            report.note(ncclCommInitRank(&comm, ranks, id, rank));
            if (comm != nullptr) _exit(4);
          },
          true);
      for (int rank = 0; rank < ranks; ++rank) processes.await_phase(rank, 1);
      usleep(300'000);
      const double killed = seconds_now();
      processes.kill(victim);
      for (int rank = 0; rank < ranks; ++rank) {
        if (rank == victim) continue;
        if (rank == ranks - 1) processes.go();
        processes.expect_end(rank);
        processes.expect(rank, ncclRemoteError, {"rank " + std::to_string(victim)});
        if (rank != ranks - 1) worst = std::max(worst, processes[rank].at - killed);
      }
    }
  EXPECT_LT(worst, kBound);
  std::printf("init: all calls ended within %.3f s of the death\n", worst);
}

// At any moment from before init to the middle of work: all ends, nobody crashes.
TEST(Death, AtRandomInstants) {
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    const int ranks = round % 2 == 0 ? 2 : 4,
              victim = static_cast<int>(random() % static_cast<unsigned>(ranks));
    Processes processes(
        ranks,
        [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
          report.phase = 1;
          ncclComm_t comm = nullptr;
          const ncclResult_t joined = ncclCommInitRank(&comm, ranks, id, rank);
          if (joined != ncclSuccess) return report.note(joined);
          std::vector<int> values(1009);
          ncclResult_t result = ncclSuccess;
          while (result == ncclSuccess)
            result =
                ncclAllReduce(values.data(), values.data(), values.size(), ncclInt, ncclSum, comm, nullptr);
          report.note(result, comm);
          if (ncclCommAbort(comm) != ncclSuccess) _exit(3);
        },
        true);
    for (int rank = 0; rank < ranks; ++rank) processes.await_phase(rank, 1);
    usleep(random() % 400'000);
    // Whoever dies before it has come is not known to be dead, but late: not tried here.
    processes.kill(victim);
    for (int rank = 0; rank < ranks; ++rank) {
      if (rank == victim) continue;
      processes.expect_end(rank);
      processes.expect(rank, ncclRemoteError, {"rank"});
    }
  }
}

// The rank that leads the host is killed as well as others; survivors go on with what they have.
TEST(Shrink, AfterDeath) {
  for (const int ranks : {2, 4, 8})
    for (const int victim : {0, ranks - 1}) {
      Processes processes(ranks, [=](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
        std::vector<int> values(10007, 1);
        ncclComm_t comm = nullptr, rest = nullptr;
        ncclResult_t result = ncclCommInitRank(&comm, ranks, id, rank);
        report.phase = 1;
        while (result == ncclSuccess)
          result =
              ncclAllReduce(values.data(), values.data(), values.size(), ncclInt, ncclMax, comm, nullptr);
        int excluded = victim;
        result = ncclCommShrink(comm, &excluded, 1, &rest, nullptr, NCCL_SHRINK_ABORT);
        if (result == ncclSuccess)
          result =
              ncclAllReduce(values.data(), values.data(), values.size(), ncclInt, ncclSum, rest, nullptr);
        report.note(result, rest);
        if (values != std::vector<int>(10007, ranks - 1)) _exit(4);
        if (ncclCommAbort(comm) != ncclSuccess || ncclCommDestroy(rest) != ncclSuccess) _exit(3);
      });
      for (int rank = 0; rank < ranks; ++rank) processes.await_phase(rank, 1);
      processes.kill(victim);
      for (int rank = 0; rank < ranks; ++rank) {
        if (rank == victim) continue;
        processes.expect_end(rank);
        processes.expect(rank, ncclSuccess, {});
      }
    }
}

// Rank 3 dies, then rank 2; the others hear of it one after the other, and agree in the end.
TEST(Shrink, IsTriedAgainAfterDisagreement) {
  setenv("HANSA_INIT_TIMEOUT", "3", 1);
  Processes processes(4, [=](int rank, const ncclUniqueId& id, Report& report, Processes::Shared& shared) {
    ncclComm_t comm = nullptr, rest = nullptr;
    if (ncclCommInitRank(&comm, 4, id, rank) != ncclSuccess) _exit(3);
    report.phase = 1;
    while (!shared.go.load()) usleep(200);
    if (rank == 2) pause();  // alive, but in nobody's list of those that stay but rank 0's
    int few[] = {3}, all[] = {2, 3};
    const ncclResult_t first = rank == 0 ? ncclCommShrink(comm, few, 1, &rest, nullptr, NCCL_SHRINK_ABORT)
                                         : ncclCommShrink(comm, all, 2, &rest, nullptr, NCCL_SHRINK_ABORT);
    // Rank 0's second try may be just in time for rank 1's first.
    const bool met = rank == 1 && first == ncclSuccess;
    if (!met && (first != ncclRemoteError || rest != nullptr)) _exit(4);
    report.note(met ? first : ncclCommShrink(comm, all, 2, &rest, nullptr, NCCL_SHRINK_ABORT));
    int one = 1;
    if (report.result == ncclSuccess)
      report.note(ncclAllReduce(&one, &one, 1, ncclInt, ncclSum, rest, nullptr));
    if (one != 2) _exit(6);
    if (ncclCommAbort(comm) != ncclSuccess || ncclCommDestroy(rest) != ncclSuccess) _exit(5);
  });
  unsetenv("HANSA_INIT_TIMEOUT");
  for (int rank = 0; rank < 4; ++rank) processes.await_phase(rank, 1);
  processes.kill(3);
  processes.go();
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

// The leader of a host goes with its process, which may end as soon as its rank has left.
TEST(Death, IsNoticedAfterTheLeaderHasLeft) {
  Processes processes(3, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    if (rank > 0) usleep(100'000);  // rank 0 is to lead
    ncclComm_t comm = nullptr;
    if (ncclCommInitRank(&comm, 3, id, rank) != ncclSuccess) _exit(3);
    int value = 0;
    if (ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr) != ncclSuccess) _exit(4);
    report.phase = 1;
    if (rank == 0) {
      if (ncclCommDestroy(comm) != ncclSuccess) _exit(5);
      return;
    }
    if (rank == 2) pause();
    report.note(ncclRecv(&value, 1, ncclInt, 2, comm, nullptr), comm);
    if (ncclCommAbort(comm) != ncclSuccess) _exit(6);
  });
  processes.expect_end(0);
  for (const int rank : {1, 2}) processes.await_phase(rank, 1);
  const std::string pid = "pid " + std::to_string(processes.pid(2));
  const double killed = seconds_now();
  processes.kill(2);
  processes.expect_end(1);
  processes.expect(1, ncclRemoteError, {"rank 2", host_name(), pid});
  EXPECT_LT(processes[1].at - killed, kBound);
}

}  // namespace
}  // namespace hansa::test

int main(int argc, char** argv) {
  setenv("HANSA_INIT_TIMEOUT", "10", 1);  // for who dies before it has come
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
