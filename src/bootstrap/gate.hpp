// A listening socket behind which services of communicators wait, each under its Door. All services of a
// process that ask for the same interface and port range share one gate as long as one of them lives, so ids
// that nobody uses cost no descriptor. Control thread only.
//
// Strangers cannot hold it up: whoever does not prove a key within the deadline is dropped, silently; at most
// kMostPending (or a quarter of the descriptor limit) may be at it, the longest waiting makes room.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "bootstrap/link.hpp"

namespace hansa::bootstrap {

class DoorKeeper {
 public:
  virtual ~DoorKeeper() = default;
  // A peer that has proven the key; its first message has not been read yet. To be kept or dropped.
  virtual void on_link(std::shared_ptr<Link> link, bool local) = 0;
  // The process is out of descriptors for those who come.
  virtual void on_exhausted(const Status& why) = 0;
};

class Gate : public LinkOwner, public std::enable_shared_from_this<Gate> {
 public:
  // The TCP gate of this process there; made if there is none yet.
  static Result<std::shared_ptr<Gate>> at(control::EventLoop& loop, const std::string& interface,
                                          std::uint16_t port_first, std::uint16_t port_last, int family = 0);
  // Over a local listener. Processes of other users are turned away.
  static Result<std::shared_ptr<Gate>> over(control::EventLoop& loop, control::Descriptor listener);
  ~Gate() override;

  // A door closes with close_door() or when its keeper is gone.
  void open_door(const Door& door, const Key& key, std::weak_ptr<DoorKeeper> keeper);
  void close_door(const Door& door);
  const NetworkAddress& address() const noexcept { return address_; }  // of a TCP gate

  void on_open(Link& link) override;
  void on_message(Link&, Message, BytesView) override {}
  void on_closed(Link& link, int error) override;

 private:
  struct OpenDoor {
    Key key;
    std::weak_ptr<DoorKeeper> keeper;
  };
  struct Pending {
    std::shared_ptr<Link> link;
    control::EventLoop::Clock::time_point since;
  };
  Gate(control::EventLoop& loop, control::Descriptor listener, bool local);
  Status start();
  void accept_all();
  void admit(control::Descriptor fd);
  void exhausted(int error);

  control::EventLoop& loop_;
  control::Descriptor listener_;
  const bool local_;
  NetworkAddress address_;
  control::EventLoop::Token watch_ = 0, resume_ = 0;
  std::map<Door, OpenDoor> doors_;
  std::list<Pending> pending_;  // oldest first
};

}  // namespace hansa::bootstrap
