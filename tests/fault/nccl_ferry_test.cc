// Copies that two ranks make together: which are, and that who breaks their rules is named at once.
#include <algorithm>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kCount = 400'003;  // too many for slots

// Two ranks, the second with a fault, add values in memory of ncclMemAlloc or on the heap. The phase is how
// many milliseconds that took.
class Sum : public Processes {
 public:
  Sum(bool allocated, const char* fault)
      : Processes(
            2,
            [allocated](int rank, const ncclUniqueId& id, Report& report, Shared&) {
              std::vector<int> heap(kCount);
              void* memory = heap.data();
              if (allocated && ncclMemAlloc(&memory, kCount * sizeof(int)) != ncclSuccess) _exit(4);
              add(static_cast<int*>(memory), rank, id, report);
            },
            false,
            [fault](int rank) {
              setenv("HANSA_TRANSPORT", "shm", 1);
              setenv("HANSA_SHM_COPY", "ranks", 1);
              if (rank == 1) setenv("HANSA_FAULT", fault, 1);
            }) {}

 private:
  static void add(int* values, int rank, const ncclUniqueId& id, Report& report) {
    std::fill_n(values, kCount, 1);
    ncclComm_t comm = nullptr;
    if (ncclCommInitRank(&comm, 2, id, rank) != ncclSuccess) _exit(5);
    const double began = seconds_now();
    const ncclResult_t result = ncclAllReduce(values, values, kCount, ncclInt, ncclSum, comm, nullptr);
    report.note(result, comm);
    report.phase = static_cast<int>((seconds_now() - began) * 1000);
    if (result == ncclSuccess && std::count(values, values + kCount, 2) != kCount) _exit(6);
    if ((result == ncclSuccess ? ncclCommDestroy(comm) : ncclCommAbort(comm)) != ncclSuccess) _exit(3);
  }
};

// Nobody has offered it.
TEST(Ferry, LeavesToTheKernelWhatCannotBeMapped) {
  Sum sum(true, "memory.fetch=fail");
  for (int rank = 0; rank < 2; ++rank) {
    sum.expect_end(rank);
    sum.expect(rank, ncclSuccess, {});
  }
}

TEST(Ferry, WhoAsksAmissIsNamedAtOnce) {
  Sum sum(false, "ferry.ask=fail");
  for (int rank = 0; rank < 2; ++rank) {
    sum.expect_end(rank);
    sum.expect(rank, ncclRemoteError, {"rank 1 asked for memory that was not offered"});
  }
  // Nobody knows better: there is nothing to wait for.
  EXPECT_LT(std::min(sum[0].phase.load(), sum[1].phase.load()), 400);
}

}  // namespace
}  // namespace hansa::test
