// A transport that is slow and moody, but never breaks the rules: what was committed becomes visible to
// the peer later, releases give credit later, gets and puts happen later and out of order, reserve() and
// peek() say "not yet" for a while. Every channel has its own, changing pace, so messages of different
// channels overtake each other in every way that a real network allows. It asks for every message to be
// written past the caches.
//
// Time passes with calls to poll(), reserve() and peek() and never otherwise: if one thread drives all ranks,
// a run is repeated exactly by its seed.
#pragma once

#include <cstdint>
#include <memory>

#include "hansa/transport.hpp"

namespace hansa::test {

// Destroying an endpoint lets out what it held back, as an operating system delivers what was sent before
// close. `lanes` as in the options that `inner` was opened with; `seed` differs from rank to rank;
// it also says which messages are staged or deposited. `maps`: false if no memory of a peer can be mapped.
std::unique_ptr<Transport> delaying_transport(std::unique_ptr<Transport> inner, std::uint16_t lanes,
                                              std::uint64_t seed, bool maps = true);

}  // namespace hansa::test
