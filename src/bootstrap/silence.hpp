// Whether the host at the other end of a TCP connection is gone, while there are bytes under way to it (for
// an idle connection keepalive tells). What it must not be taken for is a process there that does not read:
// its kernel answers each probe of the full window, only the probes come ever more seldom. So what counts is
// what was sent again and again without an answer. TCP_USER_TIMEOUT makes no such difference.
#pragma once

#include <chrono>
#include <optional>

#include "bootstrap/network_address.hpp"

namespace hansa::bootstrap {

class Silence {
 public:
  using Clock = std::chrono::steady_clock;

  // What the kernel knows of a connection.
  struct Sight {
    bool under_way = false;               // bytes that the other kernel has not taken
    std::chrono::milliseconds answer{0};  // since its last answer of any kind
    unsigned repeats = 0;                 // of the oldest byte; begins anew when that is taken
    unsigned probes = 0;                  // of a full window since the last answer
  };
  // Nothing where `fd` is no TCP socket.
  static std::optional<Sight> look(int fd);

  enum class Verdict { kTaken, kWaiting, kGone };
  // Asked now and then while bytes are under way, less than a second apart.
  Verdict judge(const Sight& sight, Clock::time_point now = Clock::now());

 private:
  // Of the kernel's clock, which counts in ticks.
  static constexpr std::chrono::milliseconds kTick{20};
  static constexpr unsigned kUnanswered = 2;

  Clock::time_point answered_{};
  unsigned repeats_ = 0;  // at that time
};

}  // namespace hansa::bootstrap
