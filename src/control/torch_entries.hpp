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
// The analyser wants ranks of the job: for us those of the first communicator. So only communicators of all
// its ranks in the same order can be told in its words. Left out are also one-sided calls and groups of
// messages of which not all were kept.
std::string torch_entries(const std::vector<const LoggedCommunicator*>& communicators, const TickScale& scale,
                          std::uint64_t from);

}  // namespace hansa::control
