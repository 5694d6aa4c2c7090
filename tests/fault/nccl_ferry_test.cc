// Copies that two ranks make together: who breaks their rules is named, and at once.
#include <algorithm>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kCount = 400'003;  // too many for slots

TEST(Ferry, WhoAsksAmissIsNamedAtOnce) {
  Processes processes(
      2,
      [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
        std::vector<int> values(kCount, 1);
        ncclComm_t comm = nullptr;
        if (ncclCommInitRank(&comm, 2, id, rank) != ncclSuccess) _exit(4);
        const double began = seconds_now();
        report.note(ncclAllReduce(values.data(), values.data(), kCount, ncclInt, ncclSum, comm, nullptr),
                    comm);
        report.phase = static_cast<int>((seconds_now() - began) * 1000);
        if (ncclCommAbort(comm) != ncclSuccess) _exit(3);
      },
      false,
      [](int rank) {
        setenv("HANSA_TRANSPORT", "shm", 1);
        setenv("HANSA_SHM_COPY", "ranks", 1);
        if (rank == 1) setenv("HANSA_FAULT", "ferry.ask=fail", 1);
      });
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclRemoteError, {"rank 1 asked for memory that was not offered"});
  }
  // Nobody knows better: there is nothing to wait for.
  EXPECT_LT(std::min(processes[0].phase.load(), processes[1].phase.load()), 400);
}

}  // namespace
}  // namespace hansa::test
