// Communicators that share their endpoints, driven by several threads in orders of their own.
#include <thread>

#include "heard.hpp"
#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

using Shared = Processes::Shared;
constexpr int kRounds = 20;

void must(ncclResult_t result, Report& report, ncclComm_t comm = nullptr) {
  if (result == ncclSuccess) return;
  report.note(result, comm);
  _exit(3);
}

// Sums ones, of sizes within a slot and over many.
void all_reduce(ncclComm_t comm, std::size_t count, Report& report) {
  std::vector<float> values(count, 1);
  must(ncclAllReduce(values.data(), values.data(), count, ncclFloat, ncclSum, comm, nullptr), report, comm);
  for (const float value : values)
    if (value != 2) _exit(4);
}

struct Three {
  ncclComm_t a = nullptr, b = nullptr, c = nullptr;
  Three(int rank, const ncclUniqueId& id, Report& report) {
    must(ncclCommInitRank(&a, 2, id, rank), report);
    must(ncclCommSplit(a, 0, rank, &b, nullptr), report, a);
    must(ncclCommSplit(a, 0, rank, &c, nullptr), report, a);
  }
  void destroy(Report& report) const {
    for (const ncclComm_t comm : {c, b, a}) must(ncclCommDestroy(comm), report);
  }
};

class SharedEndpoints : public testing::Test {
 protected:
  SharedEndpoints() {
    setenv("HANSA_TRANSPORT", "libfabric", 1);
    setenv("HANSA_LATE_REPORT", "0.5", 1);
  }
  ~SharedEndpoints() override {
    unsetenv("HANSA_TRANSPORT");
    unsetenv("HANSA_LATE_REPORT");
  }
};

// Each rank's first thread meets the other's second.
TEST_F(SharedEndpoints, ThreeCommunicatorsByTwoThreadsInOppositeOrderComplete) {
  Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared&) {
    const Three three(rank, id, report);
    for (int round = 0; round < kRounds; ++round) {
      const std::size_t count = round % 2 == 0 ? 10 : 100'000;
      std::thread one([&] { all_reduce(rank == 0 ? three.a : three.b, count, report); });
      std::thread other([&] {
        all_reduce(rank == 0 ? three.b : three.a, count, report);
        all_reduce(three.c, count, report);
      });
      one.join();
      other.join();
    }
    three.destroy(report);
    report.note(ncclSuccess);
  });
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

TEST_F(SharedEndpoints, ACycleOfTwoIsNamedAndTheThirdGoesOn) {
  const Heard heard;
  Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared& shared) {
    const Three three(rank, id, report);
    std::thread([&] { all_reduce(rank == 0 ? three.a : three.b, 100, report); }).detach();
    while (!shared.go.load(std::memory_order_acquire)) usleep(500);
    for (int round = 0; round < kRounds; ++round) all_reduce(three.c, 100'000, report);
    report.phase = 1;
    pause();
  });
  expect_heard(heard, {"allreduce #1 of 100 float",
                       "a cycle, since ranks entered two communicators in opposite order"});
  processes.go();
  for (int rank = 0; rank < 2; ++rank) processes.await_phase(rank, 1);
}

}  // namespace
}  // namespace hansa::test
