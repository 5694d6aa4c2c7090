// Logbooks of this machine's processes. Whose may be opened is the kernel's decision: the same user's, or any
// for root.
#pragma once

#include <string_view>
#include <vector>

#include "control/flight_dump.hpp"
#include "hansa/status.hpp"

namespace hansa::diagnosis {

// A process's dumps, with the `newest` operations of each communicator. The error says why there are none.
Result<std::vector<control::FlightDump>> dumps_of(pid_t pid, std::size_t newest, std::string_view reason);

// Processes that have a logbook which this user may read, ascending.
std::vector<pid_t> processes_with_logbooks();

}  // namespace hansa::diagnosis
