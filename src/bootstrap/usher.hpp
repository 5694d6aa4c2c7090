// A meeting point (NCCL_COMM_ID): the process of rank 0 listens there and tells those who come where the root
// of this communicator is. Each round of initialisation has a root and keys of its own, so that communicators
// made one after the other with the same id live side by side.
#pragma once

#include <atomic>
#include <set>
#include <vector>

#include "bootstrap/gate.hpp"
#include "bootstrap/unique_id.hpp"

namespace hansa::bootstrap {

// Serves one round. It listens until each of the other ranks has been told: then the place is free for the
// next round, which no rank begins before all have been. Control thread only, but for open().
class Usher : public LinkOwner, public DoorKeeper, public std::enable_shared_from_this<Usher> {
 public:
  // Listens at `meeting`'s address and tells `actual` to `ranks` - 1 others. kInvalidUsage if another round
  // of this process stands there, kSystem if the address is not this host's or is taken. Any thread; does not
  // wait.
  static Result<std::shared_ptr<Usher>> open(control::EventLoop& loop, const Invitation& meeting,
                                             const Invitation& actual, Rank ranks, const Process& self);
  // Ends it, whoever has come. Any thread.
  void close();

  void on_link(std::shared_ptr<Link> link, bool local) override;
  void on_exhausted(const Status&) override {}
  void on_open(Link&) override {}
  void on_message(Link& link, Message type, BytesView payload) override;
  void on_closed(Link& link, int error) override;

 private:
  Usher(control::EventLoop& loop, const Invitation& actual, Rank ranks, const Process& self)
      : loop_(loop), actual_(actual), ranks_(ranks), self_(self) {}
  Status listen(const Invitation& meeting);
  void leave_door();

  control::EventLoop& loop_;
  const Invitation actual_;
  const Rank ranks_;
  const Process self_;
  std::string place_;
  Door door_{};
  std::shared_ptr<Gate> gate_;
  std::vector<std::shared_ptr<Link>> links_;
  std::set<Rank> told_;
};

// The invitation of this round: asks at the meeting point until rank 0 answers. Blocks until then, until
// `timeout`, or until `cancelled`. The usher's refusal is its status; kRemote names the place where nobody
// let this rank in.
Result<Invitation> ask_usher(control::EventLoop& loop, const Invitation& meeting, const Entry& entry,
                             std::chrono::milliseconds timeout, const std::atomic<bool>* cancelled);

}  // namespace hansa::bootstrap
