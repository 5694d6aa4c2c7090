// What all ranks did on one clock, as a trace that chrome://tracing and Perfetto show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/diagnosis/job.hpp"

namespace hansa::diagnosis {

// By rank of the job: nanoseconds to add to its times. Ranks of one host share a clock. Of two hosts the
// clocks are shifted only as far as collectives prove them wrong: none ends anywhere before it has begun
// everywhere.
std::vector<std::int64_t> clock_shifts(const Job& job);

// Trace Event Format: a process for each rank, a thread for each of its communicators.
std::string trace_of(const Job& job);

}  // namespace hansa::diagnosis
