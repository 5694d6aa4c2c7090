// A logbook as JSON, for after the process: what PyTorch's flight-recorder analyser reads (version, entries,
// pg_config, pg_status), and under "hansa" all there is, for `hansa trace merge`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/logbook_reading.hpp"
#include "hansa/status.hpp"

namespace hansa::control {

// One rank of a process with all its communicators.
struct FlightDump {
  Rank rank = 0;          // in the first of them
  std::string file_name;  // hansa-flight-HOST-PID-RANK.json: no two ranks of a job have the same
  std::string json;       // one line; at most a few megabytes
};

// One for each rank that the process is. `pid`: as others see it. `reason`: why now, for people; may be
// empty.
std::vector<FlightDump> flight_dumps(const LoggedProcess& process, pid_t pid, std::string_view reason);

// Writes them into a folder: whole files or none, over older ones of the same name.
Status write_flight_dumps(const std::vector<FlightDump>& dumps, const std::string& folder);

}  // namespace hansa::control
