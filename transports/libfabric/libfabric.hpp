// Ranks over a fabric, through libfabric (loaded at run time): tagged messages over reliable datagrams, by
// whatever provider has them. docs/libfabric.md says which were tried, and what real fabrics need next.
//
// Listens on the interface that the options name and on no other; where a provider's addresses are no
// sockets', the name is that of a domain ("cxi1") or means nothing to it. What arrives there is not
// authenticated: whoever reaches the port can disturb the communicator (tags and lengths are checked, memory
// is safe).
//
// Closing blocks for up to half a second while messages that were sent are not yet received.
#pragma once

#include "hansa/transport.hpp"
#include "transports/slot_shape.hpp"

namespace hansa {

// A slot and its header are just within what the provider sends without asking the receiver first.
inline constexpr SlotShape kLibfabricSlots{16 * 1024 - 64, 8};

Status probe_libfabric();
// The shape's count is a power of two; there are fewer slots where the provider's queues are too short for
// them, the same on all ranks that use it alike. `provider`: as fi_info names it; empty: the best there is.
Result<std::unique_ptr<Transport>> open_libfabric(const TransportOptions& options,
                                                  SlotShape shape = kLibfabricSlots,
                                                  std::string_view provider = {});

}  // namespace hansa
