// How to wait for something that another core does: spin while that is cheap, then let others run,
// then sleep. One Waiter per wait; call idle() each time nothing was found, reset() when something was.
#pragma once

#include <cstdint>

namespace hansa {

class Waiter {
 public:
  // `yields`: never spin: the core may be needed by the one waited for.
  explicit Waiter(bool yields) noexcept : yields_(yields) {}
  void idle() noexcept;
  void reset() noexcept {
    polls_ = 0;
    since_ns_ = 0;
  }

 private:
  bool yields_;
  std::uint32_t polls_ = 0;
  std::uint64_t since_ns_ = 0;
};

// Cores this process may run on.
int usable_cores() noexcept;

}  // namespace hansa
