// The meeting point of a communicator, in the process that made the unique id. Leaders of hosts register over
// one connection each and tell which ranks have come; when all have, every leader gets its place in the tree,
// and when all leaders say that the tree works the root is no longer needed. Until then it spreads every
// failure. Control thread only.
//
// The root of a reunion may be served again: each rank's time is its own there, so one whose time is over
// goes and the others go on; it may come again as long as not all are there at once. Once it has failed
// another takes its place, which tells those that have not heard of it yet, each once: who comes again after
// that, comes to the next try.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "bootstrap/gate.hpp"
#include "bootstrap/unique_id.hpp"
#include "bootstrap/withdrawal.hpp"

namespace hansa::bootstrap {

class Root : public LinkOwner, public DoorKeeper, public std::enable_shared_from_this<Root> {
 public:
  // Serves `invitation` at `gate` until complete or failed, and tells late comers so for a minute longer; or,
  // if it may be served `again`, lets them wait for that. One that is served already goes on.
  static void serve(control::EventLoop& loop, std::shared_ptr<Gate> gate, const Invitation& invitation,
                    const Process& self, bool again = false);

  // Stops serving the communicator with this key, if that is done here and nobody has come.
  static void discard(control::EventLoop& loop, const Key& key);

  void on_link(std::shared_ptr<Link> link, bool local) override;
  void on_exhausted(const Status& why) override;
  void on_open(Link&) override {}
  void on_message(Link& link, Message type, BytesView payload) override;
  void on_closed(Link& link, int error) override;

 private:
  struct Host {
    std::shared_ptr<Link> link;
    Registration registration;
    std::vector<Process> ranks;
    std::set<Rank> dismissed;  // on entering, as told of what was before
    bool registered = false, done = false;
  };
  Root(control::EventLoop& loop, std::shared_ptr<Gate> gate, const Key& key, const Process& self)
      : loop_(loop), gate_(std::move(gate)), key_(key), self_(self) {}
  void open();

  Host* host_of(const Link& link);
  void enroll(Host& host, const Registration& registration);
  void enter(Host& host, const Entry& entry);
  void withdraw(Host& host, const Withdrawal& withdrawal);
  void finish(Host& host);
  void assign_all();
  void time_out(const Lateness& lateness);
  void time_out_after(std::chrono::milliseconds delay, const Lateness& lateness);
  Status lateness_of_others(std::uint32_t waited_ms);
  void await_hosts();
  void fail(const Status& why);
  void retire();
  void hand_over();
  void tell(Host& host, const Status& why);

  control::EventLoop& loop_;
  std::shared_ptr<Gate> gate_;
  const Key key_;
  Process self_;
  Door door_{};
  std::vector<Host> hosts_;
  std::map<Rank, Process> joined_, withdrawn_;
  Rank ranks_ = 0;  // as the first entry said; 0: none yet
  Process first_;   // who said so
  std::uint32_t connections_ = 0;
  bool assigned_ = false, again_ = false;
  Status late_;  // what those whose time is over are told, while it stays true
  std::uint32_t late_ms_ = 0;
  control::EventLoop::Token desertion_ = 0;
  Status over_;          // failed, or complete: what late comers are told
  Status before_;        // how the root before this one failed
  std::set<Rank> told_;  // of that
  std::weak_ptr<Root> next_;
};

}  // namespace hansa::bootstrap
