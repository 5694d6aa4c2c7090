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

Status check_broadcast(const Job& job, BytesView bytes) {
  if (job.rank != 0 || bytes.size() <= Launcher::kMostBytes) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("{} bytes are more than the {} that a launcher broadcasts", bytes.size(),
                            Launcher::kMostBytes));
}

}  // namespace hansa::bootstrap
