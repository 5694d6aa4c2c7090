// The leader of a host's ranks in one communicator: the first of them to come starts it in its process. All
// ranks of the host, the leader's own included, connect to it over local sockets; it registers them with the
// root, becomes a node of the tree of hosts, and afterwards carries exchanges, failures and farewells along
// it. It lives until nobody hangs on it any more, its own rank's leaving notwithstanding. Control thread
// only.
//
// Below it hang members (ranks of its host) and the leaders of its children in the tree; for an exchange both
// are the same: someone who contributes once and gets the table back.
//
// A hub of a reunion is entered in one try and left in another: whose time is over goes alone
// (hub_withdrawal.cc), and once it has failed, newcomers find its doors closed and found another.
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "bootstrap/gate.hpp"
#include "bootstrap/identity.hpp"
#include "bootstrap/roll.hpp"
#include "bootstrap/unique_id.hpp"
#include "bootstrap/withdrawal.hpp"

namespace hansa::bootstrap {

class Hub : public LinkOwner, public DoorKeeper, public std::enable_shared_from_this<Hub> {
 public:
  struct Setup {
    Invitation invitation;
    Key key;  // invitation.key()
    HostIdentity host;
    Process leader;  // with the rank that starts the hub
    Rank ranks = 0;
    std::shared_ptr<Gate> tree_gate;
    bool root_may_be_late = false;  // a reunion: dial until the seats' time is over, which is each one's own
  };
  static Status start(control::EventLoop& loop, Setup setup, control::Descriptor local_listener);

  // Zeros where the root of this communicator's tree is not in this process.
  static RootTraffic root_traffic(control::EventLoop& loop, const Key& key);

  void on_link(std::shared_ptr<Link> link, bool local) override;
  void on_exhausted(const Status& why) override;
  void on_open(Link& link) override;
  void on_message(Link& link, Message type, BytesView payload) override;
  void on_starved(Link& link) override;
  void on_closed(Link& link, int error) override;

 private:
  struct Below {
    std::shared_ptr<Link> link;
    bool local = false;
    bool known = false;       // has said who it is
    Process process;          // the member, or the leader of a child host
    Neighbour place;          // of a child host's leader
    std::vector<Rank> ranks;  // whose contributions come through it
    bool delivered = false;   // to the current exchange
    bool accounted = false;   // has said who below it is missing
    bool left = false;        // a member that left
    bool answered = false;    // the current roll call
  };
  struct Entered {
    Entry entry;
    std::weak_ptr<Link> seat;
    bool withdrawn = false;  // the root has been asked to let it go
  };
  struct Roll {
    bool running = false;
    RollCall call;
    std::vector<std::pair<Rank, Presence>> answers;
    control::EventLoop::Token timer = 0;
  };
  struct Told {
    std::uint64_t number = 0;
    std::vector<Rank> missing;
    control::EventLoop::Clock::time_point at{};
  };

  Hub(control::EventLoop& loop, Setup setup) : loop_(loop), setup_(std::move(setup)) {}
  Rank ranks() const { return setup_.ranks; }
  LinkEnd end_of(const Link& link, int error) const { return {error, link.rail(), setup_.host.name}; }
  Neighbour place() const { return {setup_.host.id, setup_.tree_gate->address()}; }
  bool at_root() const { return place_.hosts > 0 && place_.index == 0; }

  // hub.cc: coming together
  void dial_root();
  void dial_up();
  // After a while; false if that was often enough.
  bool dial_again(int dials, bool for_ever, void (Hub::*dial)());
  void on_root_message(Message type, BytesView payload);
  void on_root_closed(const Link& link, int error);
  void on_below_message(Below& below, Message type, BytesView payload);
  void enter(Below& below, const Entry& entry);
  void attach(Below& below, const Attachment& attachment);
  void take_place(const Assignment& assignment);
  void on_up_message(Message type, BytesView payload);
  void on_up_closed(const Link& link, int error);
  void on_below_closed(Below& below, int error);
  void forget(const Link& link);
  void end_if_alone();
  void close_doors();
  void end();
  Below* below_of(const Link& link);

  // hub_withdrawal.cc: ranks that go before all have come
  void late_to_join(Below& below, const Lateness& lateness);
  bool name_the_silent(std::uint32_t waited_ms);
  void withdraw(const Below& below, std::uint32_t waited_ms);
  void take_dismissal(const Dismissal& dismissal);
  void dismiss(std::vector<Entered>::iterator entered, const Status& why);
  void take_back_contribution(Rank rank);
  bool all_still_here();

  // hub_exchange.cc: exchanges, failures, farewells
  void contribute(Below& below, BytesView payload);
  void pass_on_if_complete();
  void spread_table(BytesView table);
  void late(const Lateness& lateness, const Link* from);
  void account(Below& below, const Absence& absence);
  void conclude_if_accounted(bool waited_enough);
  void farewell(Below& below);
  void note_left(const std::vector<Rank>& ranks, const Link* from);
  void fail(const Status& why, const Link* from = nullptr);
  void fail_garbled(const Process& from, Message type);
  // Fails, and tells of the dead even who knows of a failure already: they are missed wherever else ranks
  // meet.
  void mourn(const Process& process, const std::vector<Rank>& ranks, const LinkEnd& end);
  void starve();
  void spread_obituary(BytesView payload, const Link* from);
  // The ranks of a leader that has ended, and of its process, without having left; empty if all had left.
  std::vector<Rank> lost_with(const Process& leader, const Neighbour& place, const LinkEnd& end) const;

  // hub_roll.cc: concerns
  using ConcernKey = std::pair<std::uint64_t, Rank>;
  static ConcernKey key_of(const RaisedConcern& raised);
  void concern(const RaisedConcern& raised);
  void consider(bool at_once);
  void call_roll(const RollCall& call);
  void present(Below& below, BytesView payload);
  void conclude_roll(bool waited_enough);
  void judge_roll();
  bool told(const std::vector<Rank>& missing, std::uint32_t waited_ms);
  void spread_verdict(BytesView payload);

  void send_up(Message type, BytesView payload);
  void send_below(const Below& below, Message type, BytesView payload);
  std::size_t children() const;
  int floors_below() const;
  void tell_neighbours() const;

  control::EventLoop& loop_;
  const Setup setup_;
  std::shared_ptr<Gate> local_gate_;
  Door local_door_{}, tree_door_{};
  std::shared_ptr<Link> root_, up_;
  int dials_ = 0, dials_up_ = 0;
  Process root_process_;
  std::vector<Entered> entries_;  // of this host, in order of coming; those dismissed are not in it
  std::vector<Below> below_;
  std::vector<std::shared_ptr<Link>> dismissed_;  // that have not left yet
  Assignment place_;                              // hosts == 0: not yet
  bool closed_ = false, ended_ = false;

  std::vector<Member> members_;  // by rank, when joined
  std::vector<bool> has_left_;
  Status failed_;
  std::uint64_t sequence_ = 0;  // of the exchange that is collected; 0: joining
  ByteWriter collected_;        // contributions without their head
  std::uint32_t collected_count_ = 0;
  bool passed_on_ = false, late_ = false;
  std::uint32_t waited_ms_ = 0;
  std::vector<Rank> missing_;
  control::EventLoop::Token account_timer_ = 0;
  Roll roll_;
  Told told_;                                     // what users were told last
  std::map<ConcernKey, RaisedConcern> concerns_;  // not answered yet
  RaisedConcern concern_;                         // at the root: what the roll is about
  control::EventLoop::Clock::time_point rolled_at_{};
  control::EventLoop::Token pause_timer_ = 0;
  std::uint64_t messages_ = 0;  // exchanged with the leaders of child hosts
};

// The name of the local socket behind which a host's hub waits.
std::string local_name_of(const Key& key, const HostIdentity& host);

}  // namespace hansa::bootstrap
