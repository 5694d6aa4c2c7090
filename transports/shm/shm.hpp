// Ranks of one host through shared memory: cells for messages (ring.hpp), and memory of peers reached in
// place or by single copy (peer_memory.hpp). Two ranks reach each other if one can fetch and map the other's
// memfd, so containers that share the network and user do, whatever their host names. Ranks of one process
// use the same mapping, so that thread checkers see the very cells.
//
// Memory of a rank: shm_slots() for each peer and lane, at most shm_inbox() for all, and once more for its
// billboard (billboard.hpp), so that many ranks and many communicators fit a host; what is too large for
// slots is cut, copied by the kernel or by both ranks, or reached where it lies.
//
// quiesce() waits for a get or
// put that the peer has under way and refuses later ones; what the peer does through map() it cannot see, but
// that reaches only allocations of ours, whose pages stay the peer's to write until it lets go.
#pragma once

#include "hansa/transport.hpp"
#include "transports/slot_shape.hpp"

namespace hansa {

// About 8 MiB for all ranks of a communicator together, and 1 MiB for each where there are more than 8.
constexpr std::size_t shm_inbox(Rank ranks) {
  constexpr std::size_t kOfMany = 1056 * 1024;
  return ranks >= 8 ? kOfMany : kOfMany * 8 / static_cast<std::size_t>(ranks);
}
// The largest slots for so many ranks: 16 of 64 KiB for two, then smaller ones, from 4 KiB on fewer, down to
// 4 of 512 bytes. A ring so long that a slot's lines have left the receiver's caches when the sender returns
// to it moves bytes twice as fast.
SlotShape shm_slots(Rank ranks, std::uint16_t lanes);

// Whether this end would copy together with its peers (shm/ferry.hpp), where the kernel's copies are `dear`:
// both ends must run at once. It takes both.
bool wants_ferry(const TransportOptions& options, bool dear, int cores);

Status probe_shm();
// kInvalidArgument unless shape.count is a power of two of at most 2^13 and shape.bytes at most 64 KiB.
Result<std::unique_ptr<Transport>> open_shm(const TransportOptions& options, SlotShape shape);

}  // namespace hansa
