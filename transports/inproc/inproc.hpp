// Ranks as threads of one process: the reference that the other transports are held against. All memory is
// reachable: map() gives the peer's own pointer, get() and put() copy.
//
// quiesce() waits for a get or put of the peer that is under way and refuses later ones. What the peer does
// through a pointer from map() it cannot see: that ends when the peer's execution does.
#pragma once

#include "hansa/transport.hpp"
#include "transports/slot_shape.hpp"

namespace hansa {

inline constexpr SlotShape kInprocSlots{32 * 1024, 8};

Status probe_inproc();
// `freight_from`: messages of so many bytes go without slots, for tests; all memory is reachable anyhow. The
// same on all ranks.
Result<std::unique_ptr<Transport>> open_inproc(const TransportOptions& options,
                                               SlotShape shape = kInprocSlots,
                                               std::size_t freight_from = SIZE_MAX);

}  // namespace hansa
