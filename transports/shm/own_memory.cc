#include "transports/shm/own_memory.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/fault_point.hpp"

namespace hansa::shm {

Descriptor OwnMemory::describe(BytesView bytes) {
  Descriptor described{reinterpret_cast<std::uintptr_t>(bytes.data()), bytes.size(), 0, 0};
  if (memory_ == nullptr) return described;
  const auto allocation = memory_->identify(bytes.data(), bytes.size());
  if (!allocation) return described;
  if (!std::binary_search(offered_.begin(), offered_.end(), allocation->id) && !offer(allocation->id)) {
    return described;
  }
  described.allocation = allocation->id;
  described.offset = static_cast<std::uint64_t>(bytes.data() - allocation->base);
  return described;
}

bool OwnMemory::offer(std::uint64_t allocation) {
  // What was freed since is withdrawn now: not in free(), which must not know who has seen the memory.
  std::erase_if(offered_, [&](std::uint64_t id) {
    const auto held = memory_->duplicate(id);
    if (held.ok()) {
      close(held.value());
      return false;
    }
    provider_.withdraw(id);
    return true;
  });
  if (fault_point(Point::kMemoryOffer)) return false;
  const auto fd = memory_->duplicate(allocation);
  if (!fd.ok()) return false;
  const Status offered = provider_.offer(allocation, fd.value());
  close(fd.value());
  if (!offered.ok()) return false;
  offered_.insert(std::lower_bound(offered_.begin(), offered_.end(), allocation), allocation);
  return true;
}

}  // namespace hansa::shm
