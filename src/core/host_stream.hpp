// The asynchronous stand-in for a device's stream: what was given to it runs in order, later, on the progress
// thread. It keeps the library honest about completion where there is no GPU.
#pragma once

#include <cstdint>
#include <deque>

#include "base/process.hpp"
#include "hansa/status.hpp"

namespace hansa {

struct Operation;

// All members are guarded by the progress thread's lock.
class HostStream {
 public:
  std::deque<Operation*> queue;  // in order; the first runs
  Status failure;                // the first one since it was last asked for
  // Made before a fork(), and this is the child.
  bool forked() const noexcept { return generation_ != process_generation(); }

 private:
  std::uint64_t generation_ = process_generation();
};

}  // namespace hansa
