// Ranks of one job on this machine, without a launcher: processes of this program, or threads.
#pragma once

#include <atomic>
#include <functional>

#include "nccl.h"

namespace hansa::tools {

// What all ranks of a job see, in memory that forked processes share.
struct Shared {
  std::atomic<bool> id_ready{false}, failed{false};
  ncclUniqueId id;
  std::atomic<long long> wrong{0};
  std::atomic<double> slowest{0};
};

struct Place {
  int rank = 0, ranks = 1;
  Shared* shared = nullptr;
};

// Runs `body` once per rank, `threads` ranks to a process, and waits for all. Rank 0 has put a unique id into
// Shared when any body starts. Returns 0 if every body returned 0 and no process died, else prints which and
// returns 1.
int run_ranks(int ranks, int threads, const std::function<int(const Place&)>& body);

}  // namespace hansa::tools
