#include "bootstrap/root.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <tuple>

#include "base/fault_point.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::chrono::milliseconds kTellLateComers{60'000}, kLastWords{1000};
// A root that may be served again and has nobody by then was left by the rank that serves it.
constexpr std::chrono::milliseconds kDeserted{10'000};
// Where all have come at the last moment, they are connected within that; it is less than seats wait for
// words.
constexpr std::chrono::milliseconds kConnecting{1000};
// That the hub of a rank which does not connect is given to name it, before whole hosts are named.
constexpr std::chrono::milliseconds kNaming{300};

struct RootsOfProcess {
  std::set<std::shared_ptr<Root>> roots;
};

}  // namespace

void Root::serve(control::EventLoop& loop, std::shared_ptr<Gate> gate, const Invitation& invitation,
                 const Process& self, bool again) {
  const Key key = invitation.key();
  const Door door = door_of(key, "root", "");
  const auto& roots = loop.local<RootsOfProcess>().roots;
  const auto known = std::find_if(roots.begin(), roots.end(), [&](const std::shared_ptr<Root>& one) {
    return one->door_ == door && one->over_.ok();
  });
  if (again && known != roots.end()) {
    if (!(*known)->assigned_) return (*known)->await_hosts();
    // Its word of that is still on the way here.
    (*known)->fail(gave_up(self));
  }
  std::shared_ptr<Root> root(new Root(loop, std::move(gate), key, self));
  root->again_ = again;
  root->open();
}

void Root::open() {
  door_ = door_of(key_, "root", "");
  gate_->open_door(door_, key_, shared_from_this());
  loop_.local<RootsOfProcess>().roots.insert(shared_from_this());
  if (again_) await_hosts();
}

void Root::await_hosts() {
  loop_.cancel(desertion_);
  desertion_ = loop_.after(kDeserted, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->hosts_.empty() || !self->over_.ok()) return;
    self->gate_->close_door(self->door_);
    self->loop_.local<RootsOfProcess>().roots.erase(self);
  });
}

void Root::discard(control::EventLoop& loop, const Key& key) {
  auto& roots = loop.local<RootsOfProcess>().roots;
  const Door door = door_of(key, "root", "");
  const auto root =
      std::find_if(roots.begin(), roots.end(), [&](const auto& one) { return one->door_ == door; });
  if (root == roots.end() || !(*root)->hosts_.empty()) return;
  (*root)->gate_->close_door(door);
  roots.erase(root);
}

void Root::on_link(std::shared_ptr<Link> link, bool) {
  ++connections_;
  link->set_owner(weak_from_this());
  hosts_.push_back({std::move(link), {}, {}, {}, false, false});
}

void Root::on_exhausted(const Status& why) {
  // Where nobody has come yet there is nobody to tell.
  if (!assigned_ && (before_.ok() || !hosts_.empty())) fail(why);
}

Root::Host* Root::host_of(const Link& link) {
  const auto found =
      std::find_if(hosts_.begin(), hosts_.end(), [&](const Host& h) { return h.link.get() == &link; });
  return found == hosts_.end() ? nullptr : &*found;
}

void Root::on_message(Link& link, Message type, BytesView payload) {
  Host* const host = host_of(link);
  if (!host) return;
  Registration registration;
  Entry entry;
  Lateness lateness;
  Withdrawal withdrawal;
  Failure failure;
  Dismissal last_word;
  if (!over_.ok() && type != Message::kDone) {
    const auto next = next_.lock();
    if (next && type == Message::kEnter && Entry::parse(payload, &entry))
      next->told_.insert(entry.process.rank);
    if (next && type == Message::kCannotCome && Dismissal::parse(payload, &last_word))
      next->told_.insert(last_word.rank);
    return tell(*host, over_);
  }
  if (type == Message::kRegister && !host->registered && Registration::parse(payload, &registration)) {
    enroll(*host, registration);
  } else if (type == Message::kEnter && host->registered && Entry::parse(payload, &entry)) {
    enter(*host, entry);
  } else if (type == Message::kLate && Lateness::parse(payload, &lateness)) {
    // The host of a rank that does not connect can name it.
    if (assigned_)
      time_out_after(kNaming, lateness);
    else
      time_out(lateness);
  } else if (type == Message::kWithdraw && again_ && Withdrawal::parse(payload, &withdrawal)) {
    withdraw(*host, withdrawal);
  } else if (type == Message::kFail && Failure::parse(payload, &failure)) {
    fail(failure.status);
  } else if (type == Message::kCannotCome && Dismissal::parse(payload, &last_word)) {
    // One more that could not come to the try before.
    if (!before_.ok() && told_.insert(last_word.rank).second) return;
    fail(last_word.why);
    if (const auto next = next_.lock()) next->told_.insert(last_word.rank);
  } else if (type == Message::kDone && assigned_) {
    finish(*host);
  } else {
    fail(Status(Code::kInternal, fmt::format("the root got a message of kind {} that it cannot read from {}",
                                             static_cast<int>(type), host->registration.leader.text())));
  }
}

void Root::enroll(Host& host, const Registration& registration) {
  host.registration = registration;
  host.registered = true;
  host.link->send(Message::kWelcome, Welcome{self_}.encode());
}

void Root::enter(Host& host, const Entry& entry) {
  const Process& who = entry.process;
  host.dismissed.erase(who.rank);
  if (!before_.ok() && told_.insert(who.rank).second) {
    host.dismissed.insert(who.rank);
    return host.link->send(Message::kDismiss, Dismissal{who.rank, before_}.encode());
  }
  if (ranks_ == 0 && entry.protocol == kProtocol) {
    ranks_ = entry.ranks;
    first_ = who;
  }
  if (const Status good = judge(entry, first_, ranks_); !good.ok()) return fail(good);
  // That it comes again may be heard, through another hub, before that it went.
  if (const auto before = joined_.find(who.rank);
      again_ && before != joined_.end() && before->second.id == who.id) {
    if (assigned_) return fail(gave_up(who));
    joined_.erase(before);
    for (Host& other : hosts_)
      std::erase_if(other.ranks, [&](const Process& one) { return one.rank == who.rank; });
  }
  late_ = {};
  withdrawn_.erase(who.rank);
  const auto [known, fresh] = joined_.emplace(who.rank, who);
  if (!fresh) {
    return fail(Status(
        Code::kInvalidUsage,
        fmt::format("rank {} joined twice: pid {} on host {} and pid {} on host {}; give every process its "
                    "own rank",
                    who.rank, known->second.pid, known->second.host_name, who.pid, who.host_name)));
  }
  host.ranks.push_back(who);
  if (who.id == self_.id && (self_.rank < 0 || who.rank < self_.rank)) {
    // Should this process die, the others can now say which rank that was.
    self_.rank = who.rank;
    for (Host& other : hosts_) {
      if (other.registered) other.link->send(Message::kWelcome, Welcome{self_}.encode());
    }
  }
  if (static_cast<Rank>(joined_.size()) == ranks_) assign_all();
}

void Root::withdraw(Host& host, const Withdrawal& withdrawal) {
  if (host.dismissed.contains(withdrawal.rank)) return;  // the answer is on its way
  if (assigned_) {
    // Now that all have come it is one of them.
    return time_out_after(kConnecting, {0, withdrawal.waited_ms});
  }
  const auto who = std::find_if(host.ranks.begin(), host.ranks.end(),
                                [&](const Process& one) { return one.rank == withdrawal.rank; });
  if (who != host.ranks.end()) {
    withdrawn_[who->rank] = *who;
    joined_.erase(withdrawal.rank);
    host.ranks.erase(who);
  }
  host.link->send(Message::kDismiss,
                  Dismissal{withdrawal.rank, lateness_of_others(withdrawal.waited_ms)}.encode());
}

void Root::assign_all() {
  (void)fault_point(Point::kRootEntered);
  assigned_ = true;
  // The tree hangs from this process where it leads a host, and is the same from run to run. A leader without
  // ranks (one more has come than there should be) stays out of it.
  const auto key = [this](const Host& host) {
    Rank lowest = ranks_;
    for (const Process& process : host.ranks) lowest = std::min(lowest, process.rank);
    return std::tuple(host.ranks.empty(), host.registration.leader.id != self_.id, lowest);
  };
  std::sort(hosts_.begin(), hosts_.end(), [&](const Host& a, const Host& b) { return key(a) < key(b); });
  Assignment assignment;
  assignment.connections = connections_;
  for (const Host& host : hosts_) assignment.hosts += host.ranks.empty() ? 0 : 1;
  for (std::uint32_t i = 0; i < assignment.hosts; ++i) {
    assignment.index = i;
    if (i > 0) {
      const Registration& parent = hosts_[(i - 1) / 2].registration;
      assignment.parent = parent.leader;
      assignment.parent_place = parent.place;
    }
    hosts_[i].link->send(Message::kAssign, assignment.encode());
  }
  (void)fault_point(Point::kRootAssigned);
}

void Root::finish(Host& host) {
  host.done = true;
  host.link->close();
  const auto finished = [](const Host& h) { return h.done || h.ranks.empty(); };
  if (!over_.ok() || !std::all_of(hosts_.begin(), hosts_.end(), finished)) return;
  over_ = Status(Code::kInvalidUsage,
                 fmt::format("all {} ranks of this unique id have joined already; a further one cannot, "
                             "use a new unique id for another communicator",
                             ranks_));
  retire();
}

void Root::time_out_after(std::chrono::milliseconds delay, const Lateness& lateness) {
  loop_.after(delay, [weak = weak_from_this(), lateness] {
    const auto self = weak.lock();
    if (self && self->over_.ok()) self->time_out(lateness);
  });
}

void Root::time_out(const Lateness& lateness) {
  std::vector<Rank> missing;
  std::vector<std::string> hosts;
  const double seconds = lateness.waited_ms / 1000.0;
  if (assigned_) {
    for (const Host& host : hosts_) {
      if (host.done) continue;
      for (const Process& process : host.ranks) missing.push_back(process.rank);
      hosts.push_back(host.registration.leader.host_name);
    }
    return fail(Status(Code::kRemote,
                       fmt::format("all {} ranks joined, but not all were connected within {:g} s: {} on {} "
                                   "missing; are they stopped, or is a firewall between the hosts?",
                                   ranks_, seconds, ranks_text(missing), hosts_text(hosts))));
  }
  fail(lateness_of_others(lateness.waited_ms));
}

// Many ask at the same moment, when they began together.
Status Root::lateness_of_others(std::uint32_t waited_ms) {
  if (!late_.ok() && late_ms_ == waited_ms) return late_;
  const double seconds = waited_ms / 1000.0;
  std::vector<Rank> missing, gone;
  std::vector<std::string> hosts;
  for (Rank rank = 0; rank < ranks_; ++rank) {
    if (!joined_.contains(rank) && !withdrawn_.contains(rank)) missing.push_back(rank);
  }
  for (const auto* came : {&joined_, &withdrawn_})
    for (const auto& [rank, process] : *came) hosts.push_back(process.host_name);
  if (missing.empty()) {
    for (const auto& [rank, process] : withdrawn_) gone.push_back(rank);
    return Status(
        Code::kRemote,
        fmt::format("all {} ranks came, but not all at once within {:g} s: {} had given up before the "
                    "last came; raise HANSA_INIT_TIMEOUT",
                    ranks_, seconds, ranks_text(gone)));
  }
  late_ms_ = waited_ms;
  late_ = Status(
      Code::kRemote,
      fmt::format(
          "{} of {} ranks did not join within {:g} s: {} (joined: {} ranks on {}); start them, see that they "
          "got the same unique id, or raise HANSA_INIT_TIMEOUT",
          missing.size(), ranks_, seconds, ranks_text(missing), joined_.size() + withdrawn_.size(),
          hosts_text(hosts)));
  return late_;
}

void Root::on_closed(Link& link, int error) {
  Host* const host = host_of(link);
  if (!host) return;
  if (error == ENOMEM) fail(Status(Code::kRemote, kStarved).within(self_.text()));
  const bool expected = host->done || !over_.ok() || !host->registered;
  // A leader in whose host no rank is left to join loses nothing.
  if (expected || host->ranks.empty()) {
    if (!host->done) hosts_.erase(hosts_.begin() + (host - hosts_.data()));
    if (again_ && hosts_.empty()) await_hosts();
    return;
  }
  std::vector<Rank> gone;
  for (const Process& process : host->ranks) {
    if (process.id == host->registration.leader.id) gone.push_back(process.rank);
  }
  Process who = host->registration.leader;
  if (!gone.empty()) who.rank = *std::min_element(gone.begin(), gone.end());
  fail(death_in_init(who, {error, link.rail(), self_.host_name}));
}

void Root::fail(const Status& why) {
  if (!over_.ok()) return;
  over_ = why;
  for (Host& host : hosts_) {
    if (!host.done) tell(host, why);
  }
  retire();
  if (again_) hand_over();
}

void Root::hand_over() {
  std::shared_ptr<Root> next(new Root(loop_, gate_, key_, self_));
  next->again_ = true;
  next->before_ = over_;
  for (const auto* came : {&joined_, &withdrawn_})
    for (const auto& [rank, process] : *came) next->told_.insert(rank);
  next->open();
  next_ = next;
}

void Root::tell(Host& host, const Status& why) { host.link->send(Message::kFail, Failure{why}.encode()); }

void Root::retire() {
  if (again_) gate_->close_door(door_);  // the same ranks may try again
  loop_.after(again_ ? kLastWords : kTellLateComers, [self = shared_from_this()] {
    if (!self->again_) self->gate_->close_door(self->door_);
    self->loop_.local<RootsOfProcess>().roots.erase(self);
  });
}

}  // namespace hansa::bootstrap
