// MASTER_ADDR and MASTER_PORT: where rank 0, or the agent that started it, is met.
#pragma once

#include <functional>
#include <vector>

#include "base/config.hpp"
#include "bootstrap/launchers/stream.hpp"
#include "bootstrap/network_address.hpp"

namespace hansa::bootstrap {

struct MeetingPoint {
  std::string name;                       // "host:port" as the user wrote it, for reports
  std::vector<NetworkAddress> addresses;  // to try in order, IPv4 first; at least one
  bool here_only = false;                 // written as "localhost" or as a number
};

// Looks the name up, for which it blocks as long as the system's resolver does.
Result<MeetingPoint> find_meeting_point(const Lookup& lookup);

// Where rank 0 listens: the first address. All interfaces where a name leads to the loopback of this host
// (Debian's /etc/hosts), at which no other host would find it.
NetworkAddress listening_address(const MeetingPoint& point);

// What came of one connection.
struct Encounter {
  Status status;
  bool again = false;  // where it failed: whether another connection may do better
};

// Connects, from one address to the next and with pauses, until `encounter` (which gets the connection and a
// deadline of its own) is done or gives up, or the deadline has passed: kRemote then, with the last reason.
Status meet(const MeetingPoint& point, Deadline deadline,
            const std::function<Encounter(Stream stream, Deadline until)>& encounter);

}  // namespace hansa::bootstrap
