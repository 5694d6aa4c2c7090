// Operations in the words of PyTorch's flight recorder, as its analyser (torch.distributed.flight_recorder of
// PyTorch 2.13) expects them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/logbook_reading.hpp"

namespace hansa::control {

// The members version, entries, pg_config and pg_status of an object, without its braces. `communicators` are
// those of one rank, its first one first; operations that began before `from` ticks are left out.
//
// Told are collectives only: it takes messages both ways between two ranks for a mismatch. And it wants ranks
// of the job, which for us are those of the first communicator, so only communicators of all those ranks
// (131,072 at most) in the same order are told of.
std::string torch_entries(const std::vector<const LoggedCommunicator*>& communicators, const TickScale& scale,
                          std::uint64_t from);

}  // namespace hansa::control
