// A rank's life through every named place of src/base/fault_point.hpp, and how survivors go on after a fault.
#pragma once

#include "nccl_processes.hpp"

namespace hansa::test {

inline constexpr int kMostProcesses = 8;

// What the ranks of one job share beside their reports.
struct Aftermath {
  enum Arrival : int { kNotYet, kWithFailed, kWithout };  // with a communicator of all, which has failed
  std::atomic<int> arrived[kMostProcesses] = {};
  std::atomic<bool> id_ready{false};
  ncclUniqueId id;
  std::atomic<double> struck_at{0};  // when the place was reached
  std::atomic<int> met[2] = {};
  std::atomic<int> shrunk{0}, renewed{0};  // how many went on, and how

  // Until all ranks have come; or, as some may be dead, not for long.
  void meet(int which, int ranks) {
    ++met[which];
    for (int i = 0; i < 2000 && met[which].load() < ranks; ++i) usleep(300);
  }
};

struct Job {
  int ranks = 2;       // that live to the end
  bool spare = false;  // one more, which the others shrink away
  int aborter = 0;     // aborts a communicator that the others use
  int lost = -1;       // whom survivors go on without if anything fails
  Aftermath* after = nullptr;

  int all() const { return ranks + (spare ? 1 : 0); }
};

// Until the first call that fails, which is reported with its communicator's text; ncclSuccess if none does.
// Whoever fails and is not lost goes on with the others that are not.
void live(const Job& job, int rank, const ncclUniqueId& id, Report& report, Processes::Shared& shared);

}  // namespace hansa::test
