// Ranks that are late: reported with what they do and did, an error only with a time-out. Ranks that called
// something else: an error for all, with both calls in it, also where no message tells.
#include <algorithm>
#include <sstream>

#include "heard.hpp"
#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

using Shared = Processes::Shared;

ncclComm_t meet(int rank, int ranks, const ncclUniqueId& id, Report& report) {
  ncclComm_t comm = nullptr;
  const ncclResult_t result = ncclCommInitRank(&comm, ranks, id, rank);
  if (result != ncclSuccess) {
    report.note(result);
    _exit(3);
  }
  return comm;
}

ncclResult_t all_reduce(ncclComm_t comm, std::size_t count) {
  std::vector<float> in(count, 1), out(count);
  return ncclAllReduce(in.data(), out.data(), count, ncclFloat, ncclSum, comm, nullptr);
}

void await(const std::atomic<bool>& flag) {
  while (!flag.load(std::memory_order_acquire)) usleep(500);
}

class Late : public testing::Test {
 protected:
  Late() { setenv("HANSA_LATE_REPORT", "0.5", 1); }
  ~Late() override {
    unsetenv("HANSA_LATE_REPORT");
    unsetenv("HANSA_TIMEOUT");
  }
};

TEST_F(Late, ARankOutsideIsNamedAndTheCallGoesOn) {
  for (const int ranks : {2, 4}) {
    const Heard heard;
    Processes processes(ranks, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
      const ncclComm_t comm = meet(rank, ranks, id, report);
      if (all_reduce(comm, 10) != ncclSuccess) _exit(4);
      if (rank == 1) await(shared.go);
      report.note(all_reduce(comm, 100), comm);
      ncclCommDestroy(comm);
    });
    expect_heard(heard,
                 {"allreduce #2 of 100 float", std::to_string(ranks - 1) + " of " + std::to_string(ranks),
                  "rank 1 (host " + host_name() + ", pid " + std::to_string(processes.pid(1)),
                  "its last call was allreduce #1 of 10 float"});
    // One line, although all that wait have asked.
    usleep(100'000);
    const std::string text = heard.text();
    EXPECT_EQ(1, std::count(text.begin(), text.end(), '\n')) << text;
    processes.go();
    for (int rank = 0; rank < ranks; ++rank) {
      processes.expect_end(rank);
      processes.expect(rank, ncclSuccess, {});
    }
  }
}

TEST_F(Late, ACountOfZeroIsNamed) {
  const Heard heard;
  Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
    const ncclComm_t comm = meet(rank, 2, id, report);
    report.note(all_reduce(comm, rank == 1 ? 0 : 100), comm);
    if (rank == 1) await(shared.go);
    ncclCommAbort(comm);
  });
  expect_heard(heard,
               {"allreduce #1 of 100 float", "rank 1 (host", "its last call was allreduce #1 of 0 float"});
  processes.go();
  processes.expect_end(1);
  processes.expect_end(0);
  processes.expect(1, ncclSuccess, {});
}

// Rank 0 waits for a message of rank 2; rank 1, which leads the host's ranks, goes at once or stays.
void expect_sender_named(bool leader_stays, const std::vector<std::string>& words) {
  const Heard heard;
  Processes processes(3, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
    if (rank != 1) usleep(300'000);  // who comes first leads
    const ncclComm_t comm = meet(rank, 3, id, report);
    char byte = 0;
    if (rank == 2 || (rank == 1 && leader_stays)) await(shared.go);
    if (rank == 0) report.note(ncclRecv(&byte, 1, ncclInt8, 2, comm, nullptr), comm);
    if (rank == 2) report.note(ncclSend(&byte, 1, ncclInt8, 0, comm, nullptr), comm);
    if (rank == 1) report.note(ncclSuccess);
    ncclCommDestroy(comm);
  });
  expect_heard(heard, words);
  processes.go();
  for (int rank = 0; rank < 3; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

TEST_F(Late, AReceiveNamesItsSender) {
  expect_sender_named(true, {"receive #1 of 1 bytes from rank 2", "rank 2 (host", "has made no call"});
}

// Nobody is there who would ask the others: the waiting rank speaks for itself.
TEST_F(Late, AReceiveNamesItsSenderAlsoWithoutALeader) {
  expect_sender_named(
      false, {"receive #1 of 1 bytes from rank 2", "for rank 2 (host", "rank 1", "has left and ended"});
}

TEST_F(Late, AStoppedRankIsStoppedNotDeadAndGoesOn) {
  for (const int victim : {0, 1, 3}) {
    SCOPED_TRACE(victim);
    const Heard heard;
    Processes processes(4, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
      const ncclComm_t comm = meet(rank, 4, id, report);
      if (all_reduce(comm, 10) != ncclSuccess) _exit(4);
      report.phase = 1;
      if (rank != victim) await(shared.go);
      if (rank == victim)
        while (!shared.go.load(std::memory_order_acquire)) usleep(500);
      report.note(all_reduce(comm, 100), comm);
      ncclCommDestroy(comm);
    });
    for (int rank = 0; rank < 4; ++rank) processes.await_phase(rank, 1);
    kill(processes.pid(victim), SIGSTOP);
    processes.go();
    expect_heard(heard, {"rank " + std::to_string(victim) + " (host", "is stopped"});
    kill(processes.pid(victim), SIGCONT);
    for (int rank = 0; rank < 4; ++rank) {
      processes.expect_end(rank);
      processes.expect(rank, ncclSuccess, {});
    }
  }
}

TEST_F(Late, TwoCommunicatorsInOppositeOrderAreACycle) {
  const Heard heard;
  Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared&) {
    const ncclComm_t first = meet(rank, 2, id, report);
    ncclComm_t second = nullptr;
    if (ncclCommSplit(first, 0, rank, &second, nullptr) != ncclSuccess) _exit(4);
    report.phase = 1;
    report.note(all_reduce(rank == 0 ? first : second, 100));
    pause();
  });
  expect_heard(heard, {"allreduce #1 of 100 float",
                       "a cycle, since ranks entered two communicators in opposite order"});
}

// Ranks that come one after the other and wait for the same one: said again after twice the time, and nobody
// is blamed who is not to blame.
TEST_F(Late, RanksThatEnterOneAfterTheOtherBlameTheSameOne) {
  const Heard heard;
  Processes processes(4, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
    const ncclComm_t comm = meet(rank, 4, id, report);
    usleep(static_cast<useconds_t>(rank) * 150'000);
    if (rank == 3) await(shared.go);
    report.note(all_reduce(comm, 100), comm);
    ncclCommDestroy(comm);
  });
  // The report of 0.5 s and the one of 1 s, and time for whoever would speak for a leader.
  usleep(5'000'000);
  const std::string text = heard.text();
  EXPECT_LE(2, std::count(text.begin(), text.end(), '\n')) << text;
  std::stringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    EXPECT_NE(std::string::npos, line.find("rank 3 (host")) << line;
  processes.go();
  for (int rank = 0; rank < 4; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

TEST_F(Late, ATimeOutOfACallThatIsRefusedIsForgotten) {
  Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared&) {
    const ncclComm_t comm = meet(rank, 2, id, report);
    if (hansaNextTimeout(0.2) != ncclSuccess) _exit(4);
    if (ncclAllReduce(nullptr, nullptr, 1, ncclFloat, ncclSum, comm, nullptr) != ncclInvalidArgument)
      _exit(5);
    if (rank == 1) usleep(600'000);
    report.note(all_reduce(comm, 100), comm);
    ncclCommDestroy(comm);
  });
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

enum class Limit { kEnvironment, kCommunicator, kCall };

class TimeOut : public Late, public testing::WithParamInterface<Limit> {};

TEST_P(TimeOut, IsAnErrorThatNamesWhoIsLate) {
  for (const int ranks : {2, 4}) {
    if (GetParam() == Limit::kEnvironment) setenv("HANSA_TIMEOUT", "1", 1);
    Processes processes(ranks, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
      const ncclComm_t comm = meet(rank, ranks, id, report);
      if (GetParam() == Limit::kCommunicator && hansaCommSetTimeout(comm, 1) != ncclSuccess) _exit(5);
      if (all_reduce(comm, 10) != ncclSuccess) _exit(4);
      if (rank == 1) {
        await(shared.go);
        report.note(all_reduce(comm, 100), comm);
      } else {
        if (GetParam() == Limit::kCall && hansaNextTimeout(1) != ncclSuccess) _exit(5);
        report.note(all_reduce(comm, 100), comm);
      }
      ncclCommAbort(comm);
    });
    for (int rank = 0; rank < ranks; ++rank) {
      if (rank == 1) continue;
      processes.expect_end(rank);
      processes.expect(rank, ncclRemoteError,
                       {"allreduce #2 of 100 float", "time-out of 1 s", "rank 1 (host " + host_name()});
    }
    processes.go();
    processes.expect_end(1);
    processes.expect(1, ncclRemoteError, {"allreduce #2 of 100 float", "time-out of 1 s"});
  }
}

std::string limit_name(const testing::TestParamInfo<Limit>& row) {
  constexpr const char* kNames[] = {"Environment", "Communicator", "Call"};
  return kNames[static_cast<int>(row.param)];
}

INSTANTIATE_TEST_SUITE_P(Of, TimeOut,
                         testing::Values(Limit::kEnvironment, Limit::kCommunicator, Limit::kCall),
                         limit_name);

// Nobody is late for the call before, and a time-out that has not passed changes nothing.
TEST_F(Late, ATimeOutOfOneCallIsForgottenAfterIt) {
  Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared&) {
    const ncclComm_t comm = meet(rank, 2, id, report);
    if (hansaNextTimeout(0.3) != ncclSuccess || all_reduce(comm, 10) != ncclSuccess) _exit(4);
    if (rank == 1) usleep(1'000'000);
    report.note(all_reduce(comm, 100), comm);
    ncclCommDestroy(comm);
  });
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

// Rank 0 finds out who of one communicator is late while rank 1 counts on it in another.
TEST_F(Late, ATimeOutInAGroupHoldsUpNobodyElse) {
  constexpr std::size_t kMany = 1'000'000;
  int soonest = 1'000'000;  // milliseconds that rank 1 waited
  for (int round = 0; round < 3; ++round) {
    Processes processes(3, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
      const ncclComm_t all = meet(rank, 3, id, report);
      ncclComm_t late = nullptr, other = nullptr;
      if (ncclCommSplit(all, rank == 1 ? NCCL_SPLIT_NOCOLOR : 0, rank, &late, nullptr) != ncclSuccess ||
          ncclCommSplit(all, rank == 2 ? NCCL_SPLIT_NOCOLOR : 0, rank, &other, nullptr) != ncclSuccess)
        _exit(4);
      if (rank == 2) kill(getpid(), SIGSTOP);
      std::vector<float> values(kMany);
      if (all_reduce(other, 10) != ncclSuccess) _exit(4);
      if (rank == 0) {
        if (hansaCommSetTimeout(late, 0.01) != ncclSuccess || ncclGroupStart() != ncclSuccess) _exit(5);
        (void)ncclAllReduce(values.data(), values.data(), 10, ncclFloat, ncclSum, late, nullptr);
        (void)ncclAllReduce(values.data(), values.data(), kMany, ncclFloat, ncclSum, other, nullptr);
        report.note(ncclGroupEnd(), late);
        report.phase = 1;
      } else {
        usleep(60'000);
        const double began = seconds_now();
        report.note(ncclAllReduce(values.data(), values.data(), kMany, ncclFloat, ncclSum, other, nullptr),
                    other);
        report.phase = 1 + static_cast<int>((seconds_now() - began) * 1000);
      }
      await(shared.go);
    });
    for (int rank = 0; rank < 2; ++rank) processes.await_phase(rank, 1);
    processes.go();
    for (int rank = 0; rank < 2; ++rank) processes.expect_end(rank);
    processes.expect(0, ncclRemoteError,
                     {"allreduce #1 of 10 float, sum was not done within its time-out", "rank 1"});
    processes.expect(1, ncclSuccess, {});
    soonest = std::min(soonest, processes[1].phase.load());
  }
  EXPECT_LT(soonest, 100);
}

struct Different {
  const char* name;
  ncclResult_t (*call)(ncclComm_t comm, int rank, float* in, float* out);
  const char *of_first, *of_others;
};

const Different kDifferent[] = {
    {"Count",
     [](ncclComm_t c, int r, float* i, float* o) {
       return ncclAllReduce(i, o, r == 0 ? 8 : 9, ncclFloat, ncclSum, c, nullptr);
     },
     "allreduce #2 of 8 float", "allreduce #2 of 9 float"},
    {"CountFarApart",
     [](ncclComm_t c, int r, float* i, float* o) {
       return ncclAllReduce(i, o, r == 0 ? 1 : 500'000, ncclFloat, ncclSum, c, nullptr);
     },
     "allreduce #2 of 1 float", "allreduce #2 of 500000 float"},
    {"Type",
     [](ncclComm_t c, int r, float* i, float* o) {
       return ncclAllReduce(i, o, 8, r == 0 ? ncclFloat : ncclInt, ncclSum, c, nullptr);
     },
     "allreduce #2 of 8 float", "allreduce #2 of 8 int32"},
    {"Operation",
     [](ncclComm_t c, int r, float* i, float* o) {
       return ncclAllReduce(i, o, 8, ncclFloat, r == 0 ? ncclSum : ncclMax, c, nullptr);
     },
     "sum", "max"},
    {"Collective",
     [](ncclComm_t c, int r, float* i, float* o) {
       return r == 0 ? ncclAllReduce(i, o, 8, ncclFloat, ncclSum, c, nullptr)
                     : ncclAllGather(i, o, 8, ncclFloat, c, nullptr);
     },
     "allreduce #2 of 8 float", "allgather #2 of 8 float"},
    // Comes late, only sends, and is gone before anybody looks.
    {"LateAndGoneAtOnce",
     [](ncclComm_t c, int r, float* i, float* o) {
       if (r != 0) return ncclBroadcast(i, o, 8, ncclFloat, 0, c, nullptr);
       int ranks = 0;
       if (ncclCommCount(c, &ranks) != ncclSuccess) return ncclInternalError;
       usleep(400'000);
       return ncclGather(i, o, 8, ncclFloat, ranks - 1, c, nullptr);
     },
     "gather #2 of 8 float, root", "broadcast #2 of 8 float, root 0"},
    // Each waits for the other as root: no message is sent at all.
    {"RootsThatReceive",
     [](ncclComm_t c, int r, float* i, float* o) {
       return ncclBroadcast(i, o, 8, ncclFloat, r == 0 ? 1 : 0, c, nullptr);
     },
     "broadcast #2 of 8 float, root 1", "broadcast #2 of 8 float, root 0"},
    {"MessageForCollective",
     [](ncclComm_t c, int r, float* i, float* o) {
       return r == 0 ? ncclAllReduce(i, o, 8, ncclFloat, ncclSum, c, nullptr)
                     : ncclRecv(o, 8, ncclFloat, 0, c, nullptr);
     },
     "allreduce #2 of 8 float", "receive #1 of 32 bytes from rank 0"},
};

class Differ : public testing::TestWithParam<std::tuple<Different, int>> {};

TEST_P(Differ, AllRanksHearBothCalls) {
  const Different& different = std::get<0>(GetParam());
  const int ranks = std::get<1>(GetParam());
  Processes processes(ranks, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
    const ncclComm_t comm = meet(rank, ranks, id, report);
    if (all_reduce(comm, 10) != ncclSuccess) _exit(4);
    std::vector<float> in(500'000), out(in.size());
    report.phase = 1;
    await(shared.go);
    ncclResult_t result = different.call(comm, rank, in.data(), out.data());
    // Who has returned hears of it all the same.
    while (result == ncclSuccess && ncclCommGetAsyncError(comm, &result) == ncclSuccess &&
           result == ncclSuccess)
      usleep(1000);
    report.note(result, comm);
    if (ncclAllReduce(in.data(), out.data(), 1, ncclFloat, ncclSum, comm, nullptr) != ncclInvalidUsage)
      _exit(5);
    ncclCommAbort(comm);
  });
  for (int rank = 0; rank < ranks; ++rank) processes.await_phase(rank, 1);
  const double began = seconds_now();
  processes.go();
  for (int rank = 0; rank < ranks; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclInvalidUsage, {"calls differ", different.of_first, different.of_others});
    EXPECT_LT(processes[rank].at - began, 5) << "promised is one second";
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, Differ,
                         testing::Combine(testing::ValuesIn(kDifferent), testing::Values(2, 4)),
                         [](const auto& row) {
                           return std::get<0>(row.param).name + std::to_string(std::get<1>(row.param));
                         });

}  // namespace
}  // namespace hansa::test
