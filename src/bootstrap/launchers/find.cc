// Whose traces there are in the environment, and which of them speaks of this process.
#include <fmt/format.h>

#include "bootstrap/launchers/environment.hpp"
#include "bootstrap/launchers/hand_out.hpp"
#include "bootstrap/launchers/pmi.hpp"
#include "bootstrap/launchers/pmix.hpp"
#include "bootstrap/launchers/store.hpp"

namespace hansa {
namespace {

using namespace bootstrap;

Result<std::unique_ptr<Launcher>> over(Result<std::unique_ptr<KeyValueSpace>> space) {
  if (!space.ok()) return space.status();
  return launcher_over(std::move(space).value());
}

// A task of srun. The script of sbatch has SLURM_PROCID, too, but is no rank.
Result<std::unique_ptr<Launcher>> find_slurm(const Lookup& lookup) {
  const auto ranks = number_of(lookup, "SLURM_STEP_NUM_TASKS", 2, kMostRanks);
  if (!ranks.ok() || text_of(lookup, "SLURM_PROCID").empty()) return std::unique_ptr<Launcher>();
  HANSA_ASSIGN_OR_RETURN(Job job, job_of_slurm(lookup));
  if (!text_of(lookup, "MASTER_ADDR").empty()) return open_hand_out(std::move(job), lookup);
  return Status(Code::kUnsupported,
                fmt::format("srun started this process as task {} of {} without a way for the tasks to meet; "
                            "add --mpi=pmi2 to srun, or set MASTER_ADDR and MASTER_PORT",
                            job.rank, job.ranks));
}

}  // namespace

Result<std::unique_ptr<Launcher>> find_launcher(const Lookup& lookup) {
  const auto set = [&lookup](const char* name) { return !text_of(lookup, name).empty(); };
  if (set("RANK") && text_of(lookup, "TORCHELASTIC_USE_AGENT_STORE") == "True") return open_store(lookup);
  if (set("RANK") && set("TORCHELASTIC_RUN_ID")) {
    HANSA_ASSIGN_OR_RETURN(Job job, job_of_torch(lookup));
    return open_hand_out(std::move(job), lookup);
  }
  if (set("PMIX_NAMESPACE")) return over(open_pmix());
  if (set("PMI_FD")) return over(set("PMI_JOBID") ? open_pmi2(lookup) : open_pmi1(lookup));
  if (set("PMI_PORT") && set("PMI_ID"))
    return Status(Code::kUnsupported,
                  "mpiexec offers PMI at a port (PMI_PORT), which is not spoken here; start "
                  "the job without mpiexec's option -pmi-port");
  if (set("RANK") && set("WORLD_SIZE")) {
    HANSA_ASSIGN_OR_RETURN(Job job, job_of_torch(lookup));
    return open_hand_out(std::move(job), lookup);
  }
  return find_slurm(lookup);
}

}  // namespace hansa
