// Memory of one kind: who allocated what, and how another process can see it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "hansa/status.hpp"

namespace hansa {

// A block that we allocated. `id` is unique in this process for ever (never reused), so a cached
// mapping cannot be mistaken for a later allocation at the same address.
struct Allocation {
  std::uint64_t id = 0;
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  int fd = -1;  // a memfd that another process may map, owned by the Memory
};

class Memory {
 public:
  virtual ~Memory() = default;
  // Zeroed, page-aligned, backed at once (a full machine is an error here, not a SIGBUS later). Any thread.
  virtual Result<std::byte*> allocate(std::size_t bytes) = 0;
  // kInvalidArgument if the address was not given by allocate(). Any thread.
  virtual Status free(void* address) = 0;
  // As free(), but who has mapped the memory may still read in it what it held: it goes back to the system
  // when the last of them is done.
  virtual Status leave(void* address) = 0;
  // The allocation that holds all of [address, address+bytes), if it is ours. Any thread; no lock where
  // nothing changed.
  virtual std::optional<Allocation> identify(const void* address, std::size_t bytes) const = 0;
  // By id; the descriptor is duplicated for the caller, who closes it.
  virtual Result<int> duplicate(std::uint64_t id) const = 0;
};

}  // namespace hansa
