// Processes that pose as hosts of their own: they share no memory, so all goes over the fabric; and a death
// is told across it.
#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kCount = 50'021;

void pose_as_host(int rank) {
  setenv("HANSA_HOST_ID", ("host" + std::to_string(rank)).c_str(), 1);
  setenv("HANSA_INTERFACE", ("127.0.0." + std::to_string(rank + 1)).c_str(), 1);
}

TEST(Hosts, WorkTogether) {
  constexpr int kRanks = 4;
  Processes processes(kRanks, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    pose_as_host(rank);
    ncclComm_t comm = nullptr;
    ncclResult_t result = ncclCommInitRank(&comm, kRanks, id, rank);
    std::vector<int> values(kCount, rank + 1);
    for (int round = 0; round < 3 && result == ncclSuccess; ++round)
      result = ncclAllReduce(values.data(), values.data(), kCount, ncclInt, ncclSum, comm, nullptr);
    report.note(result, comm);
    if (values != std::vector<int>(kCount, 10 * 4 * 4)) _exit(5);
    if (ncclCommDestroy(comm) != ncclSuccess) _exit(3);
  });
  for (int rank = 0; rank < kRanks; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

TEST(Hosts, NameTheOneThatDied) {
  for (const int victim : {0, 2}) {
    Processes processes(
        3,
        [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
          pose_as_host(rank);
          ncclComm_t comm = nullptr;
          ncclResult_t result = ncclCommInitRank(&comm, 3, id, rank);
          report.phase = 1;
          std::vector<int> values(kCount, 1);
          while (result == ncclSuccess)
            result = ncclAllReduce(values.data(), values.data(), kCount, ncclInt, ncclSum, comm, nullptr);
          report.note(result, comm);
          if (ncclCommAbort(comm) != ncclSuccess) _exit(3);
        },
        true);
    for (int rank = 0; rank < 3; ++rank) processes.await_phase(rank, 1);
    usleep(50'000);
    const std::string pid = "pid " + std::to_string(processes.pid(victim));
    const double killed = seconds_now();
    processes.kill(victim);
    for (int rank = 0; rank < 3; ++rank) {
      if (rank == victim) continue;
      processes.expect_end(rank);
      processes.expect(rank, ncclRemoteError,
                       {"rank " + std::to_string(victim), "host" + std::to_string(victim), pid});
      EXPECT_LT(processes[rank].at - killed, 5) << "promised is one second";
    }
  }
}

}  // namespace
}  // namespace hansa::test
