// What launchers leave in the environment, read with errors that name the variable.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/config.hpp"
#include "bootstrap/launcher.hpp"

namespace hansa::bootstrap {

// Empty for unset ones.
std::string text_of(const Lookup& lookup, const char* name);

// kInvalidArgument where the variable is unset or no decimal number from `least` to `most`.
Result<std::int64_t> number_of(const Lookup& lookup, const char* name, std::int64_t least, std::int64_t most);

// The job whose ranks `rank` and `ranks` name; ranks from 1 to kMostRanks.
inline constexpr std::int64_t kMostRanks = 1 << 24;
Result<Job> job_of(const Lookup& lookup, const char* rank, const char* ranks);

// RANK and WORLD_SIZE; LOCAL_RANK and LOCAL_WORLD_SIZE where both are set. The launcher is called "torchrun".
Result<Job> job_of_torch(const Lookup& lookup);

// A task of srun: SLURM_PROCID and SLURM_STEP_NUM_TASKS; among those of its host SLURM_LOCALID, where
// SLURM_STEP_TASKS_PER_NODE tells how many they are. The launcher is called "Slurm".
Result<Job> job_of_slurm(const Lookup& lookup);
// The entry of host `node` in a list like "2(x3),1"; 0 where there is none.
std::int64_t tasks_on_node(std::string_view list, std::int64_t node);

// kInvalidArgument where rank 0's bytes are more than a broadcast takes.
Status check_broadcast(const Job& job, BytesView bytes);

}  // namespace hansa::bootstrap
