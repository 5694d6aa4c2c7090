// Asks whether another host answers at all, by a connection that its kernel takes and that ends at once. For
// the way between two hosts that do not watch each other: a rank's data go there, its control does not.
// Control thread only.
#pragma once

#include <functional>
#include <memory>

#include "bootstrap/network_address.hpp"
#include "control/event_loop.hpp"

namespace hansa::bootstrap {

class Knock : public std::enable_shared_from_this<Knock> {
 public:
  // What of a host that is there, if stopped or without a listener, is an answer as well. `silent` is called
  // if there was none for kPatience, with this host's interface on that way; never from within. Lives until
  // then by itself.
  static void at(control::EventLoop& loop, const NetworkAddress& gate,
                 std::function<void(const Rail&)> silent);

  // Three packets that ask for a connection.
  static constexpr std::chrono::milliseconds kPatience{3500};

 private:
  Knock(control::EventLoop& loop, control::Descriptor fd, std::function<void(const Rail&)> silent)
      : loop_(loop), fd_(std::move(fd)), silent_(std::move(silent)) {}
  void end(bool answered);

  control::EventLoop& loop_;
  control::Descriptor fd_;
  std::function<void(const Rail&)> silent_;
  control::EventLoop::Token watch_ = 0;
};

}  // namespace hansa::bootstrap
