#include "bootstrap/launchers/environment.hpp"

#include <fmt/format.h>

#include <charconv>

namespace hansa::bootstrap {

std::string text_of(const Lookup& lookup, const char* name) {
  const char* const value = lookup(name);
  return value == nullptr ? "" : value;
}

Result<std::int64_t> number_of(const Lookup& lookup, const char* name, std::int64_t least,
                               std::int64_t most) {
  const std::string text = text_of(lookup, name);
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && at == end && number >= least && number <= most) return number;
  return Status(Code::kInvalidArgument,
                fmt::format("{}={} must be a number from {} to {}; the launcher sets it, so start the job "
                            "through it and do not change it",
                            name, text, least, most));
}

Result<Job> job_of(const Lookup& lookup, const char* rank, const char* ranks) {
  HANSA_ASSIGN_OR_RETURN(const std::int64_t size, number_of(lookup, ranks, 1, kMostRanks));
  HANSA_ASSIGN_OR_RETURN(const std::int64_t place, number_of(lookup, rank, 0, size - 1));
  Job job;
  job.rank = static_cast<Rank>(place);
  job.ranks = static_cast<Rank>(size);
  return job;
}

Result<Job> job_of_torch(const Lookup& lookup) {
  HANSA_ASSIGN_OR_RETURN(Job job, job_of(lookup, "RANK", "WORLD_SIZE"));
  job.launcher = "torchrun";
  if (text_of(lookup, "LOCAL_RANK").empty() || text_of(lookup, "LOCAL_WORLD_SIZE").empty()) return job;
  HANSA_ASSIGN_OR_RETURN(const Job local, job_of(lookup, "LOCAL_RANK", "LOCAL_WORLD_SIZE"));
  job.local_rank = local.rank;
  job.local_ranks = local.ranks;
  return job;
}

Result<Job> job_of_slurm(const Lookup& lookup) {
  HANSA_ASSIGN_OR_RETURN(Job job, job_of(lookup, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"));
  job.launcher = "Slurm";
  const auto node = number_of(lookup, "SLURM_NODEID", 0, kMostRanks);
  if (!node.ok()) return job;
  const std::int64_t here = tasks_on_node(text_of(lookup, "SLURM_STEP_TASKS_PER_NODE"), node.value());
  const auto local = number_of(lookup, "SLURM_LOCALID", 0, here - 1);
  if (!local.ok()) return job;
  job.local_rank = static_cast<int>(local.value());
  job.local_ranks = static_cast<int>(here);
  return job;
}

std::int64_t tasks_on_node(std::string_view list, std::int64_t node) {
  const auto take_number = [&list](std::int64_t* into) {
    const auto [at, error] = std::from_chars(list.data(), list.data() + list.size(), *into);
    list.remove_prefix(static_cast<std::size_t>(at - list.data()));
    return error == std::errc() && *into > 0 && *into <= kMostRanks;
  };
  const auto take_word = [&list](std::string_view word) {
    if (list.substr(0, word.size()) != word) return false;
    list.remove_prefix(word.size());
    return true;
  };
  for (;;) {
    std::int64_t tasks = 0, nodes = 1;
    if (!take_number(&tasks)) return 0;
    if (take_word("(x") && (!take_number(&nodes) || !take_word(")"))) return 0;
    if (!list.empty() && list.front() != ',') return 0;
    if (node < nodes) return tasks;
    node -= nodes;
    if (!take_word(",")) return 0;
  }
}

Status check_broadcast(const Job& job, BytesView bytes) {
  if (job.rank != 0 || bytes.size() <= Launcher::kMostBytes) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("{} bytes are more than the {} that a launcher broadcasts", bytes.size(),
                            Launcher::kMostBytes));
}

}  // namespace hansa::bootstrap
