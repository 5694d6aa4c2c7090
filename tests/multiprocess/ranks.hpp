// A job on this machine without a launcher: processes of this program, each with some ranks as threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>

#include "nccl.h"

namespace hansa::test {

inline constexpr int kIds = 6;
inline constexpr int kCounters = 8;

struct Place {
  int rank = 0, ranks = 1;
  int thread = 0, threads = 1;             // within the process
  std::span<const ncclUniqueId> ids = {};  // kIds of them, the same on all ranks, for as many communicators
  std::atomic<int>* counters = nullptr;    // kCounters of them, zero at first, shared by all ranks
};

// main() of a test: takes the layout as "2,1" and runs `body` once per rank. A body fails by returning
// non-zero or by ending its process; the other processes then have a short time to end before they are
// killed.
int run_main(int argc, char** argv, const std::function<int(const Place&)>& body);

// Ends this rank's process with a message unless the call succeeded.
void require(ncclResult_t result, const Place& place, const char* what);

struct Destroy {
  void operator()(ncclComm_t comm) const;
};
using Communicator = std::unique_ptr<ncclComm, Destroy>;

// ncclCommInitRank on ids[which], by default as the place's own rank.
Communicator join(const Place& place, int which = 0, int rank = -1);

}  // namespace hansa::test
