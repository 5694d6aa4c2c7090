// This rank's memory in words that its peers understand: an allocation of its Memory is offered to other
// processes of this host when it is first described.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "control/fd_exchange.hpp"
#include "hansa/memory.hpp"
#include "hansa/transport.hpp"

namespace hansa::shm {

class OwnMemory {
 public:
  // `memory` may be null; `provider` outlives this.
  OwnMemory(const Memory* memory, control::FdProvider& provider) : memory_(memory), provider_(provider) {}
  bool known() const noexcept { return memory_ != nullptr; }
  // Waits for the control thread when an allocation is seen first, else only looks it up.
  Descriptor describe(BytesView bytes);

 private:
  bool offer(std::uint64_t allocation);

  const Memory* memory_;
  control::FdProvider& provider_;
  std::vector<std::uint64_t> offered_;  // ascending
};

}  // namespace hansa::shm
