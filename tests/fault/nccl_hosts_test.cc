// Processes that pose as hosts of their own: they share no memory, so all goes over the fabric; and a death
// is told across it. What NCCL's variables make of processes that share nothing but those.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

std::string free_place() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr*>(&address), size));
  EXPECT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size));
  close(fd);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

// As public programs do with it: no process tells another anything, each gets the id by itself, and one
// communicator is made after the other while those made before are in use.
TEST(Hosts, MeetAtAFixedAddressAgainAndAgain) {
  constexpr int kRanks = 2, kRounds = 3;
  setenv("NCCL_COMM_ID", free_place().c_str(), 1);
  setenv("HANSA_SECRET", "between us", 1);
  Processes processes(kRanks, [](int rank, const ncclUniqueId&, Report& report, Processes::Shared&) {
    ncclComm_t comms[kRounds] = {};
    int values[kRounds];
    ncclResult_t result = ncclSuccess;
    for (int round = 0; round < kRounds && result == ncclSuccess; ++round) {
      ncclUniqueId id;
      if (result = ncclGetUniqueId(&id); result == ncclSuccess)
        result = ncclCommInitRank(&comms[round], kRanks, id, (rank + round) % kRanks);
      for (int i = 0; i <= round && result == ncclSuccess; ++i) {
        values[i] = rank + 1;
        result = ncclAllReduce(&values[i], &values[i], 1, ncclInt, ncclSum, comms[i], nullptr);
        if (values[i] != 3) _exit(5);
      }
    }
    report.note(result);
    for (ncclComm_t comm : comms)
      if (ncclCommDestroy(comm) != ncclSuccess) _exit(3);
  });
  unsetenv("NCCL_COMM_ID");
  unsetenv("HANSA_SECRET");
  for (int rank = 0; rank < kRanks; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

// Whatever the program's config says.
TEST(Environment, MakesCommunicatorsBlockOrNot) {
  setenv("NCCL_COMM_BLOCKING", "0", 1);
  Processes processes(2, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 1;
    ncclComm_t comm = nullptr;
    report.note(ncclCommInitRankConfig(&comm, 2, id, rank, &config));
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress)
      if (usleep(200) != 0 || ncclCommGetAsyncError(comm, &state) != ncclSuccess) _exit(4);
    if (state != ncclSuccess || ncclCommDestroy(comm) != ncclSuccess) _exit(3);
  });
  unsetenv("NCCL_COMM_BLOCKING");
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclInProgress, {});
  }
}

}  // namespace
}  // namespace hansa::test
