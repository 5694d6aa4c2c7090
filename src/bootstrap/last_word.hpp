// What a rank that cannot join has still to say, when it may have neither memory, threads nor descriptors for
// more than this.
#pragma once

#include "bootstrap/unique_id.hpp"
#include "hansa/status.hpp"

namespace hansa::bootstrap {

// Tells the root why the rank does not come, and the root all others, so that they need not wait for the
// time-out. One socket, on the caller's thread; blocks for 0.8 seconds at most, and gives up in silence.
void tell_root(const Invitation& invitation, Rank rank, const Status& news);

}  // namespace hansa::bootstrap
