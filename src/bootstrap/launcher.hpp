// What started this process, where it is one rank of a job: who it is there, and how rank 0 hands the others
// a few bytes before any communicator exists.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/config.hpp"
#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa {

struct Job {
  Rank rank = 0, ranks = 1;
  int local_rank = 0, local_ranks = 1;  // among the processes of this host
  std::string launcher;                 // for reports: "PMI-1", "PMI-2", "PMIx", "torchrun"
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual const Job& job() const noexcept = 0;
  // Collective over the job: everybody gets rank 0's `bytes` (at most 4096; those of other ranks are not
  // looked at). Blocks until rank 0 has come, at most `patience`. Several broadcasts are told apart by order.
  virtual Result<std::vector<std::byte>> broadcast(std::vector<std::byte> bytes,
                                                   std::chrono::milliseconds patience) = 0;
};

// The launcher whose traces `lookup` finds in the environment, asked in the order PMIx, PMI-2, PMI-1,
// torchrun; null where there are none: the process stands alone. An error where the traces lead to nothing,
// with what to set or install.
Result<std::unique_ptr<Launcher>> find_launcher(const Lookup& lookup);

}  // namespace hansa
