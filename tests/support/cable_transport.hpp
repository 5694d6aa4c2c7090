// A transport whose cable a test can pull.
#pragma once

#include <atomic>
#include <memory>

#include "hansa/transport.hpp"

namespace hansa::test {

enum class Cable {
  kWhole,
  kPulled,  // nothing gets through, and nobody is told; once it is whole again all arrives
  kCut,     // nothing gets through any more, and status() says so
};

// All transports of a rail share the cable. `lanes` as in the options that `inner` was opened with.
std::unique_ptr<Transport> cable_transport(std::unique_ptr<Transport> inner, std::uint16_t lanes,
                                           std::shared_ptr<std::atomic<Cable>> cable);

}  // namespace hansa::test
