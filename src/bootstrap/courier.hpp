// Brings the news that a leader has died to the leader of another host: for when the dead one's connections
// stay open because a child that it forked still holds them. Control thread only.
#pragma once

#include <memory>

#include "bootstrap/link.hpp"

namespace hansa::bootstrap {

class Courier : public LinkOwner {
 public:
  // Tries for a few seconds, then gives up in silence; there may be others who bring the same.
  static void send(control::EventLoop& loop, const Neighbour& to, const Key& key, const Status& news);

  void on_open(Link& link) override;
  void on_message(Link&, Message, BytesView) override {}
  void on_closed(Link&, int) override {}

 private:
  explicit Courier(const Status& news) : news_(news) {}
  Status news_;
  std::shared_ptr<Link> link_;
};

}  // namespace hansa::bootstrap
