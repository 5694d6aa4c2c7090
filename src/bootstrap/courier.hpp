// Brings one piece of news to somebody there is no link to.
#pragma once

#include <functional>
#include <memory>

#include "bootstrap/link.hpp"
#include "bootstrap/unique_id.hpp"

namespace hansa::bootstrap {

class Courier : public LinkOwner {
 public:
  // That a leader has died, to the leader of another host: for when the dead one's connections stay open
  // because a child that it forked still holds them. Control thread only. Tries for a few seconds, then gives
  // up in silence; there may be others who bring the same.
  static void send(control::EventLoop& loop, const Neighbour& to, const Key& key, const Status& news);

  // From a rank that never came to its host's hub: so that the others need not wait for it. Any other thread;
  // waits until it is said, a second at most, because the process may end right after.
  static void tell_root(control::EventLoop& loop, const Invitation& invitation, const Status& news);

  void on_open(Link& link) override;
  void on_message(Link&, Message, BytesView) override {}
  void on_closed(Link&, int) override { finished_(); }

 private:
  Courier(const Status& news, std::function<void()> finished) : news_(news), finished_(std::move(finished)) {}
  static void dial(control::EventLoop& loop, const NetworkAddress& to, const Key& key, const Door& door,
                   const std::shared_ptr<Courier>& courier);

  Status news_;
  std::function<void()> finished_;
  std::shared_ptr<Link> link_;
};

}  // namespace hansa::bootstrap
