// Several interfaces as one transport: a decorator over a transport for each (a rail). Messages of a slot go
// by the nearest rail, longer ones by all where the options say so; a rail that dies is not used any more
// until it works again, and what was to go by it goes by the others (decision 021). Slots only.
//
// A rail is counted by its place in TransportOptions::rails, on all ranks alike; a peer's is reached by the
// rail of the same place only. The first failure of a rail is a WARN, its return an INFO line, and the
// options' rails_changed is told of both. What cannot be reached by any rail fails the transport, or is
// silence as over a single one.
//
// Closing blocks for up to a second and a half while messages that were sent are not yet received.
#pragma once

#include <functional>
#include <memory>

#include "hansa/transport.hpp"

namespace hansa {

using OpenRail = std::function<Result<std::unique_ptr<Transport>>(const TransportOptions&)>;

// Opens a transport for each rail by `open_rail`, with one lane more than the options have: the interface in
// its options is the rail's. Without two rails at least it is open_rail()'s alone, with nothing in front.
Result<std::unique_ptr<Transport>> open_rails(const TransportOptions& options, const OpenRail& open_rail);

}  // namespace hansa
