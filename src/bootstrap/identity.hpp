// Who this process and this host are, as other ranks come to know them.
#pragma once

#include <string>

#include "bootstrap/messages.hpp"
#include "control/event_loop.hpp"

namespace hansa::bootstrap {

// Processes of one HostIdentity reach each other through local sockets.
struct HostIdentity {
  std::string id;    // boot id, network and user namespace; or what stands in for it
  std::string name;  // for people
};
HostIdentity identify_host(const std::string& stand_in);

// pid, random id (new in a forked child) and host name; no rank.
Process this_process(control::EventLoop& loop, const HostIdentity& host);

}  // namespace hansa::bootstrap
