// The composition root: the process-wide objects and the concrete parts everything else is handed by
// interface. The only place with state that outlives a call and belongs to no communicator. All of it is made
// at first use and never destroyed, so that threads which still run at exit find it whole.
#pragma once

#include <atomic>
#include <string>

#include "control/logbook.hpp"
#include "core/communicator.hpp"
#include "core/failure_dump.hpp"
#include "core/group.hpp"
#include "core/handle_table.hpp"
#include "core/host_stream.hpp"
#include "core/progress.hpp"
#include "hansa/device.hpp"
#include "hansa/memory.hpp"
#include "hansa/transport.hpp"

namespace hansa {

Memory& host_memory();
CombineChooser host_combine_chooser();
inline HandleTable<Communicator>& communicators() noexcept {
  static constinit HandleTable<Communicator> table;
  return table;
}
inline HandleTable<HostStream>& streams() noexcept {
  static constinit HandleTable<HostStream> table;
  return table;
}
Progress& progress();
SharedParts& shared_parts();
control::Logbook& logbook();
FailureDump& failure_dump();
// Handles of user-defined operators, never given twice in a process.
int next_operator();

// The calling thread's.
Group& group();
// How many threads of the process have a group open: where there is none, no thread need look for its own.
inline std::atomic<int>& open_groups() noexcept {
  static constinit std::atomic<int> threads{0};
  return threads;
}
std::string& last_error();
std::string& last_setting();  // of ncclParamGetStr and its kin

}  // namespace hansa
