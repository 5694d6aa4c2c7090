#include "bootstrap/hub.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "bootstrap/of_process.hpp"
#include "control/local_socket.hpp"

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;

// A hub that nobody has entered by then was started by a rank that gave up.
constexpr milliseconds kFirstEntry{10'000};
// Between dials of one that hangs up in the handshake: crowded, stopped for a while, or not (any more)
// serving this id.
constexpr milliseconds kRedial[] = {milliseconds(20), milliseconds(100), milliseconds(300),
                                    milliseconds(600)};
constexpr milliseconds kLateRoot{300};  // at most, between dials of a root that may be late

bool hung_up(int error) { return error == 0 || error == EPROTO || error == ECONNRESET; }

std::string reason_text(int error) {
  return error == 0 ? "it closed the connection" : std::generic_category().message(error);
}

}  // namespace

std::string local_name_of(const Key& key, const HostIdentity& host) {
  return "hansa-" + control::hexadecimal(door_of(key, "name", host.id));
}

Status Hub::start(control::EventLoop& loop, Setup setup, control::Descriptor local_listener) {
  std::shared_ptr<Hub> hub(new Hub(loop, std::move(setup)));
  HANSA_ASSIGN_OR_RETURN(hub->local_gate_, Gate::over(loop, std::move(local_listener)));
  const Key& key = hub->setup_.key;
  hub->local_door_ = door_of(key, "local", hub->setup_.host.id);
  hub->tree_door_ = door_of(key, "hub", hub->setup_.host.id);
  hub->local_gate_->open_door(hub->local_door_, key, hub);
  hub->setup_.tree_gate->open_door(hub->tree_door_, key, hub);
  hub->root_process_.host_name = "at " + hub->setup_.invitation.root.text();
  loop.local<OfProcess<Hub>>().all.insert(hub);
  hub->dial_root();
  loop.after(kFirstEntry, [weak = std::weak_ptr<Hub>(hub)] {
    if (const auto self = weak.lock()) self->end_if_alone();
  });
  return Status();
}

void Hub::dial_root() {
  ++dials_;
  auto fd = connect_tcp(setup_.invitation.root);
  if (!fd.ok()) return fail(fd.status());
  root_ = Link::dial(loop_, std::move(fd).value(), true, setup_.key, door_of(setup_.key, "root", ""),
                     weak_from_this());
  if (!root_) fail(control::system_error("cannot watch a socket", ENOMEM));
}

void Hub::on_link(std::shared_ptr<Link> link, bool local) {
  link->set_owner(weak_from_this());
  if (!local) link->set_most_payload(most_table(ranks()));
  Below below;
  below.link = std::move(link);
  below.local = local;
  below_.push_back(std::move(below));
}

void Hub::on_exhausted(const Status& why) {
  if (!members_.empty()) return;
  fail(why);
  // Makes room to let those in who wait, and tell them.
  root_.reset();
  up_.reset();
}

Hub::Below* Hub::below_of(const Link& link) {
  const auto found =
      std::find_if(below_.begin(), below_.end(), [&](const Below& b) { return b.link.get() == &link; });
  return found == below_.end() ? nullptr : &*found;
}

void Hub::on_open(Link& link) {
  if (&link == root_.get()) {
    root_->send(Message::kRegister, Registration{setup_.leader, place()}.encode());
    for (const Entered& one : entries_) root_->send(Message::kEnter, one.entry.encode());
    if (!failed_.ok()) root_->send(Message::kFail, Failure{failed_}.encode());
  } else if (&link == up_.get()) {
    up_->set_most_payload(most_table(ranks()));
    send_up(Message::kAttach, Attachment{place_.index, setup_.leader, place()}.encode());
    pass_on_if_complete();
  }
}

void Hub::on_message(Link& link, Message type, BytesView payload) {
  const auto self = shared_from_this();
  if (&link == root_.get()) return on_root_message(type, payload);
  if (&link == up_.get()) return on_up_message(type, payload);
  if (Below* const below = below_of(link)) return on_below_message(*below, type, payload);
  if (type == Message::kLeave) link.send(Message::kLeave, {});  // of one that was dismissed
}

void Hub::on_starved(Link&) { starve(); }

void Hub::on_root_message(Message type, BytesView payload) {
  Welcome welcome;
  Assignment assignment;
  Dismissal dismissal;
  Failure failure;
  if (type == Message::kWelcome && Welcome::parse(payload, &welcome)) {
    root_process_ = welcome.process;
  } else if (type == Message::kAssign && place_.hosts == 0 && Assignment::parse(payload, &assignment)) {
    take_place(assignment);
  } else if (type == Message::kDismiss && Dismissal::parse(payload, &dismissal)) {
    take_dismissal(dismissal);
  } else if (type == Message::kFail && Failure::parse(payload, &failure)) {
    fail(failure.status, root_.get());
  } else {
    fail_garbled(root_process_, type);
  }
}

void Hub::on_below_message(Below& below, Message type, BytesView payload) {
  Entry entry;
  Attachment attachment;
  Lateness lateness;
  Absence absence;
  Obituary obituary;
  Failure failure;
  RaisedConcern raised;
  if (!below.local) ++messages_;
  if (!below.known) {
    if (below.local && type == Message::kEnter && Entry::parse(payload, &entry)) return enter(below, entry);
    if (!below.local && type == Message::kAttach && Attachment::parse(payload, &attachment))
      return attach(below, attachment);
    if (!below.local && type == Message::kFail && Failure::parse(payload, &failure))
      return fail(failure.status);  // a Courier
    return fail_garbled(below.process, type);
  }
  if (type == Message::kGather) {
    contribute(below, payload);
  } else if (type == Message::kLate && Lateness::parse(payload, &lateness)) {
    sequence_ == 0 ? late_to_join(below, lateness) : late(lateness, below.link.get());
  } else if (type == Message::kMissing && !below.local && Absence::parse(payload, &absence)) {
    account(below, absence);
  } else if (type == Message::kLeft && !below.local && Absence::parse(payload, &absence)) {
    note_left(absence.ranks, below.link.get());
  } else if (type == Message::kDead && !below.local && Obituary::parse(payload, &obituary)) {
    spread_obituary(payload, below.link.get());
  } else if (type == Message::kLeave && below.local) {
    farewell(below);
  } else if (type == Message::kConcern && RaisedConcern::parse(payload, &raised)) {
    concern(raised);
  } else if (type == Message::kPresent) {
    present(below, payload);
  } else if (type == Message::kFail && Failure::parse(payload, &failure)) {
    // Where a reason starts its way, say whose it is.
    fail(below.local ? failure.status.within(below.process.text()) : failure.status, below.link.get());
  } else {
    fail_garbled(below.process, type);
  }
}

void Hub::enter(Below& below, const Entry& entry) {
  if (place_.hosts != 0 && failed_.ok()) {
    const Status why(
        Code::kInvalidUsage,
        fmt::format(
            "all {} ranks of this unique id have joined already; a further one cannot, use a new unique "
            "id for another communicator",
            ranks()));
    return below.link->send(Message::kFail, Failure{why}.encode());
  }
  // It comes for a later try than the one that has failed here.
  if (closed_) {
    below.link->close();
    forget(*below.link);
    return end_if_alone();
  }
  below.known = true;
  below.process = entry.process;
  below.ranks = {entry.process.rank};
  below.link->send(Message::kWelcome, Welcome{setup_.leader}.encode());
  entries_.push_back({entry, below.link, false});
  if (const Status good = judge(entry, setup_.leader, ranks()); !good.ok()) fail(good);
  if (!failed_.ok()) {
    below.link->send(Message::kFail, Failure{failed_}.encode());
    if (!setup_.root_may_be_late) return;
    if (root_) root_->send(Message::kEnter, entry.encode());  // so that the root knows who has heard of it
    return close_doors();
  }
  if (root_) root_->send(Message::kEnter, entry.encode());  // not open yet: sent by on_open()
}

void Hub::attach(Below& below, const Attachment& attachment) {
  below.known = true;
  below.process = attachment.leader;
  below.place = attachment.place;
  // The place of this hub itself may still be on its way, but its children's are fixed by whose they are.
  if (place_.hosts != 0 && (attachment.index - 1) / 2 != place_.index)
    return fail_garbled(below.process, Message::kAttach);
  if (!failed_.ok()) below.link->send(Message::kFail, Failure{failed_}.encode());
}

void Hub::take_place(const Assignment& assignment) {
  place_ = assignment;
  if (!failed_.ok() || !all_still_here()) return;
  if (at_root()) return pass_on_if_complete();
  dial_up();
}

void Hub::dial_up() {
  ++dials_up_;
  auto fd = connect_tcp(place_.parent_place.gate);
  if (!fd.ok()) return fail(fd.status());
  up_ = Link::dial(loop_, std::move(fd).value(), true, setup_.key,
                   door_of(setup_.key, "hub", place_.parent_place.host), weak_from_this());
  if (!up_) fail(control::system_error("cannot watch a socket", ENOMEM));
}

void Hub::on_up_message(Message type, BytesView payload) {
  Lateness lateness;
  Absence absence;
  Obituary obituary;
  Failure failure;
  RollCall call;
  Verdict verdict;
  if (type == Message::kTable) {
    spread_table(payload);
  } else if (type == Message::kLate && Lateness::parse(payload, &lateness)) {
    late(lateness, up_.get());
  } else if (type == Message::kLeft && Absence::parse(payload, &absence)) {
    note_left(absence.ranks, up_.get());
  } else if (type == Message::kRollCall && RollCall::parse(payload, &call)) {
    call_roll(call);
  } else if (type == Message::kVerdict && parse_verdict(payload, ranks(), &verdict)) {
    spread_verdict(payload);
  } else if (type == Message::kDead && Obituary::parse(payload, &obituary)) {
    spread_obituary(payload, up_.get());
  } else if (type == Message::kFail && Failure::parse(payload, &failure)) {
    fail(failure.status, up_.get());
  } else {
    fail_garbled(place_.parent, type);
  }
}

void Hub::on_closed(Link& link, int error) {
  const auto self = shared_from_this();
  if (&link == root_.get()) {
    on_root_closed(link, error);
  } else if (&link == up_.get()) {
    on_up_closed(link, error);
  } else if (Below* const below = below_of(link)) {
    on_below_closed(*below, error);
  } else {
    std::erase_if(dismissed_, [&](const auto& one) { return one.get() == &link; });
    end_if_alone();
  }
}

void Hub::on_root_closed(const Link& link, int error) {
  const auto closed = std::move(root_);
  if (!failed_.ok() || ended_ || !members_.empty()) return;
  const std::string where = setup_.invitation.root.text();
  if (link.was_open()) return fail(death_in_init(root_process_, end_of(link, error)));
  if (hung_up(error) && dial_again(dials_, setup_.root_may_be_late, &Hub::dial_root)) return;
  if (hung_up(error)) {
    return fail(Status(Code::kRemote,
                       fmt::format("the process at {} does not serve this unique id: its ranks have joined "
                                   "already, joining has failed, or the process that made the unique id has "
                                   "ended and this one has its port",
                                   where)));
  }
  fail(Status(
      Code::kRemote,
      fmt::format("cannot reach the process that made the unique id at {}: {}; has it ended? If not, set "
                  "HANSA_INTERFACE to a network that all hosts share, and see that no firewall blocks it",
                  where, reason_text(error))));
}

bool Hub::dial_again(int dials, bool for_ever, void (Hub::*dial)()) {
  if (dials > static_cast<int>(std::size(kRedial)) && !for_ever) return false;
  const milliseconds delay =
      for_ever ? std::min(milliseconds(1 << std::min(dials - 1, 10)), kLateRoot) : kRedial[dials - 1];
  loop_.after(delay, [weak = weak_from_this(), dial] {
    const auto self = weak.lock();
    if (self && self->failed_.ok() && !self->ended_) (self.get()->*dial)();
  });
  return true;
}

void Hub::on_up_closed(const Link& link, int error) {
  const auto closed = std::move(up_);
  if (ended_) return;
  const LinkEnd end = end_of(link, error);
  if (link.was_open()) return mourn(place_.parent, lost_with(place_.parent, place_.parent_place, end), end);
  if (!failed_.ok()) return;
  if (hung_up(error) && dial_again(dials_up_, false, &Hub::dial_up)) return;
  fail(Status(
      Code::kRemote,
      fmt::format(
          "host {} cannot reach {} at {}: {}; set HANSA_INTERFACE to a network that all hosts share, and see "
          "that no firewall blocks it",
          setup_.host.name, place_.parent.text(), place_.parent_place.gate.text(), reason_text(error))));
}

void Hub::on_below_closed(Below& below, int error) {
  const Below gone = below;
  forget(*gone.link);
  const LinkEnd end = end_of(*gone.link, error);
  if (gone.known && !gone.local) mourn(gone.process, lost_with(gone.process, gone.place, end), end);
  if (gone.known && gone.local && !gone.left) mourn(gone.process, {gone.process.rank}, end);
  end_if_alone();
}

void Hub::forget(const Link& link) {
  below_.erase(
      std::remove_if(below_.begin(), below_.end(), [&](const Below& b) { return b.link.get() == &link; }),
      below_.end());
}

void Hub::end_if_alone() {
  if (below_.empty() && dismissed_.empty()) end();
}

void Hub::close_doors() {
  if (closed_) return;
  closed_ = true;
  if (local_gate_) local_gate_->close_door(local_door_);
  local_gate_.reset();
  setup_.tree_gate->close_door(tree_door_);
}

void Hub::end() {
  if (ended_) return;
  ended_ = true;
  close_doors();
  loop_.cancel(account_timer_);
  loop_.cancel(roll_.timer);
  loop_.cancel(pause_timer_);
  root_.reset();
  up_.reset();
  // Not from within: callers up the stack still use this.
  loop_.post([self = shared_from_this()] { self->loop_.local<OfProcess<Hub>>().all.erase(self); });
}

RootTraffic Hub::root_traffic(control::EventLoop& loop, const Key& key) {
  for (const auto& hub : loop.local<OfProcess<Hub>>().all) {
    if (hub->at_root() && equal(hub->setup_.key, key)) return {hub->place_.connections, hub->messages_};
  }
  return {};
}

}  // namespace hansa::bootstrap
