// Any transport, with a checksum in every slot: of its payload, its stamp, and of who sent it where and as
// which message, so that damaged, lost, doubled and misplaced bytes all show at the receiver. Only slots are
// checked, so nothing else is offered: no memory is reached directly, which is most of what this costs.
//
// A damaged slot never arrives; status() then names the link, the message and its size.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hansa/transport.hpp"

namespace hansa {

// `names`: by rank, for that text. kUnsupported where the slots are too small.
Result<std::unique_ptr<Transport>> checked_transport(std::unique_ptr<Transport> inner,
                                                     const TransportOptions& options,
                                                     std::vector<std::string> names);

}  // namespace hansa
