// What users do with their memory between calls, and how much of it may be locked, over libfabric. Only
// memory of ours is ever registered, so nothing can be stale. tests/fault/CMakeLists.txt runs it under cxi's
// rules, too, also where memory is registered, by the endpoint and by the domain, and little of it may be
// locked.
#include <sys/mman.h>
#include <sys/resource.h>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

using Shared = Processes::Shared;
constexpr std::size_t kCount = std::size_t{1} << 20;
constexpr std::size_t kBytes = kCount * sizeof(float);

ncclComm_t meet(int rank, const ncclUniqueId& id, Report& report) {
  ncclComm_t comm = nullptr;
  const ncclResult_t result = ncclCommInitRank(&comm, 2, id, rank);
  if (result == ncclSuccess) return comm;
  report.note(result);
  _exit(3);
}

float* map_at(void* where) {
  void* const memory = mmap(where, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | (where == nullptr ? 0 : MAP_FIXED), -1, 0);
  if (memory == MAP_FAILED) _exit(5);
  return static_cast<float*>(memory);
}

// Sums `value` of both ranks in place.
void sum(float* values, float value, ncclComm_t comm, Report& report) {
  std::fill(values, values + kCount, value);
  const ncclResult_t result = ncclAllReduce(values, values, kCount, ncclFloat, ncclSum, comm, nullptr);
  if (result != ncclSuccess) {
    report.note(result, comm);
    _exit(4);
  }
  for (std::size_t i = 0; i < kCount; ++i)
    if (values[i] != 2 * value) _exit(6);
}

class Registration : public testing::Test {
 protected:
  Registration() { setenv("HANSA_TRANSPORT", "libfabric", 1); }
  ~Registration() override { unsetenv("HANSA_TRANSPORT"); }
  static void run(const std::function<void(ncclComm_t, Report&)>& body, rlim_t lockable = RLIM_INFINITY) {
    Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Shared&) {
      const rlimit limit{lockable, lockable};
      if (lockable != RLIM_INFINITY && setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(7);
      const ncclComm_t comm = meet(rank, id, report);
      body(comm, report);
      report.note(ncclCommDestroy(comm));
    });
    for (int rank = 0; rank < 2; ++rank) {
      processes.expect_end(rank);
      processes.expect(rank, ncclSuccess, {});
    }
  }
};

TEST_F(Registration, MemoryMappedAgainAtTheSameAddressIsSentAnew) {
  run([](ncclComm_t comm, Report& report) {
    float* memory = map_at(nullptr);
    for (int round = 1; round <= 5; ++round) {
      sum(memory, static_cast<float>(round), comm, report);
      munmap(memory, kBytes);
      memory = map_at(memory);
    }
  });
}

TEST_F(Registration, OurOwnMemoryAllocatedAnewAtTheSameAddressIsSentAnew) {
  run([](ncclComm_t comm, Report& report) {
    for (int round = 1; round <= 5; ++round) {
      void* memory = nullptr;
      if (ncclMemAlloc(&memory, kBytes) != ncclSuccess) _exit(9);
      for (int call = 0; call < 2; ++call)
        sum(static_cast<float*>(memory), static_cast<float>(10 * round + call), comm, report);
      if (ncclMemFree(memory) != ncclSuccess) _exit(9);
    }
  });
}

// The child writes to all that it shares with the parent, so that each page of the parent's becomes another.
TEST_F(Registration, AForkBetweenCallsDisturbsNobody) {
  run([](ncclComm_t comm, Report& report) {
    float* const memory = map_at(nullptr);
    for (int round = 1; round <= 3; ++round) {
      sum(memory, static_cast<float>(round), comm, report);
      const pid_t child = fork();
      if (child == 0) {
        std::fill(memory, memory + kCount, -1.0F);
        _exit(0);
      }
      sum(memory, static_cast<float>(round + 10), comm, report);
      int status = 0;
      if (waitpid(child, &status, 0) != child || status != 0) _exit(8);
    }
  });
}

TEST_F(Registration, EightMebibytesOfLockableMemoryDo) {
  run([](ncclComm_t comm, Report& report) { sum(map_at(nullptr), 3, comm, report); }, rlim_t{8} << 20);
}

}  // namespace
}  // namespace hansa::test
