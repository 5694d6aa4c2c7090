// HANSA_CHECKSUM through the C interface: damage fails the call on both sides, with the link and the message
// named.
#include <algorithm>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kCount = 400'003;  // more cells than one, also of the largest

void reduce(int ranks, int rank, const ncclUniqueId& id, Report& report) {
  std::vector<int> values(kCount, 1);
  ncclComm_t comm = nullptr;
  ncclResult_t result = ncclCommInitRank(&comm, ranks, id, rank);
  report.note(result);
  for (int round = 0; round < 3 && result == ncclSuccess; ++round) {
    std::fill(values.begin(), values.end(), 1);
    const double began = seconds_now();
    result = ncclAllReduce(values.data(), values.data(), kCount, ncclInt, ncclSum, comm, nullptr);
    report.phase = static_cast<int>((seconds_now() - began) * 1000);
    if (result == ncclSuccess && values != std::vector<int>(kCount, ranks)) _exit(4);
    report.note(result, comm);
  }
  if ((result == ncclSuccess ? ncclCommDestroy(comm) : ncclCommAbort(comm)) != ncclSuccess) _exit(3);
}

class Checksums : public testing::TestWithParam<const char*> {};

TEST_P(Checksums, PassWhatIsWhole) {
  Processes processes(
      3,
      [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
        reduce(3, rank, id, report);
      },
      false,
      [](int) {
        setenv("HANSA_CHECKSUM", "1", 1);
        setenv("HANSA_TRANSPORT", GetParam(), 1);
      });
  for (int rank = 0; rank < 3; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

// The first cell, one between, and one of a later call.
TEST_P(Checksums, NameTheLinkAndTheMessage) {
  int soonest = 1'000'000;  // milliseconds that the call took on one of the ranks
  for (const int number : {1, 2, 5, 30}) {
    SCOPED_TRACE("cell " + std::to_string(number));
    Processes processes(
        2,
        [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
          reduce(2, rank, id, report);
        },
        false,
        [number](int rank) {
          setenv("HANSA_CHECKSUM", "1", 1);
          setenv("HANSA_TRANSPORT", GetParam(), 1);
          if (rank == 1)
            setenv("HANSA_FAULT", ("cell.sealed:" + std::to_string(number) + "=fail").c_str(), 1);
        });
    const std::string here = " (host " + host_name() + ")";
    for (int rank = 0; rank < 2; ++rank) {
      processes.expect_end(rank);
      processes.expect(rank, ncclRemoteError,
                       {"damaged between rank 1" + here + " and rank 0" + here,
                        std::string("over ") + GetParam(), "message ", " bytes in its slot"});
      soonest = std::min(soonest, processes[rank].phase.load());
    }
  }
  // Nobody knows better: there is nothing to wait for.
  EXPECT_LT(soonest, 400);
}

INSTANTIATE_TEST_SUITE_P(Over, Checksums, testing::Values("shm", "libfabric"),
                         [](const auto& row) { return std::string(row.param); });

TEST(ChecksumSetting, MustBeTheSameOnAllRanks) {
  Processes processes(
      2,
      [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
        reduce(2, rank, id, report);
      },
      false, [](int rank) { setenv("HANSA_CHECKSUM", rank == 0 ? "1" : "0", 1); });
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    EXPECT_NE(ncclSuccess, processes[rank].result);
    EXPECT_NE(std::string::npos, std::string(processes[rank].text).find("another HANSA_CHECKSUM"));
  }
}

}  // namespace
}  // namespace hansa::test
