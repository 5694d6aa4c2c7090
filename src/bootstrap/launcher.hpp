// What started this process, where it is one rank of a job: who it is there, and how rank 0 hands the others
// a few bytes before any communicator exists. docs/launchers.md says what each launcher's channel protects.
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
  int local_rank = 0, local_ranks = 1;  // among the processes of this host; 0 of 1 where nobody says
  std::string launcher;                 // for reports: "PMI-1", "PMI-2", "PMIx", "torchrun", "MASTER_ADDR"
};

// One thread at a time. Destroying it says goodbye to the launcher, for which it may block for two seconds; a
// forked child's copy says nothing.
class Launcher {
 public:
  static constexpr std::size_t kMostBytes = 4096;
  virtual ~Launcher() = default;
  virtual const Job& job() const noexcept = 0;
  // Collective over the job: everybody gets rank 0's `bytes` (at most kMostBytes; those of other ranks are
  // not looked at). Blocks until all that the launcher needs for it have come, at most `patience`: kRemote
  // then. Several broadcasts are told apart by order. After an error, start the job again.
  virtual Result<std::vector<std::byte>> broadcast(std::vector<std::byte> bytes,
                                                   std::chrono::milliseconds patience) = 0;
};

// The launcher whose traces `lookup` finds in the environment; null where there are none: the process stands
// alone. An error where the traces lead to nothing, with what to set or install. Once in a process: PMI's
// socket serves one client. Blocks while the launcher answers, or at most about half a minute.
//
// Asked in this order: torchrun's agent, PMIx, PMI-2, PMI-1, then RANK, WORLD_SIZE, MASTER_ADDR and
// MASTER_PORT without an agent. torchrun comes first because its agents may have been started by srun or
// mpirun, whose traces then speak of the agents.
Result<std::unique_ptr<Launcher>> find_launcher(const Lookup& lookup);

}  // namespace hansa
