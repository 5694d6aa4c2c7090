// What a hub does once its place in the tree is known: exchanges up and down, failures and farewells to
// everybody.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/fault_point.hpp"
#include "bootstrap/hub.hpp"

namespace hansa::bootstrap {
namespace {

// How long a hub waits, for each floor of the tree below it, for those there to say who is missing; a stopped
// one does not answer.
constexpr std::chrono::milliseconds kAccounting{500};

}  // namespace

void Hub::send_up(Message type, BytesView payload) {
  if (up_) up_->send(type, payload);
}

void Hub::send_below(const Below& below, Message type, BytesView payload) {
  if (!below.known) return;
  below.link->send(type, payload);
  if (!below.local) ++messages_;
}

std::size_t Hub::children() const {
  const std::size_t first = 2 * std::size_t{place_.index} + 1;
  return (first < place_.hosts ? 1 : 0) + (first + 1 < place_.hosts ? 1 : 0);
}

int Hub::floors_below() const {
  int floors = 1;  // the host's own ranks
  for (std::size_t first = 2 * std::size_t{place_.index} + 1; first < place_.hosts; first = 2 * first + 1)
    ++floors;
  return floors;
}

void Hub::contribute(Below& below, BytesView payload) {
  std::uint64_t sequence = 0;
  std::vector<Contribution> list;
  if (!parse_contributions(payload, ranks(), &sequence, &list) || below.delivered ||
      (below.local && (list.size() != 1 || list[0].rank != below.process.rank))) {
    return fail_garbled(below.process, Message::kGather);
  }
  if (!failed_.ok() || sequence < sequence_) return;
  if (sequence != sequence_) return fail_garbled(below.process, Message::kGather);
  below.delivered = true;
  below.ranks.clear();
  for (const Contribution& one : list) {
    below.ranks.push_back(one.rank);
    collected_.number(one.rank);
    collected_.blob(one.bytes);
  }
  collected_count_ += static_cast<std::uint32_t>(list.size());
  pass_on_if_complete();
}

void Hub::pass_on_if_complete() {
  if (place_.hosts == 0 || passed_on_ || !failed_.ok()) return;
  if (!at_root() && !(up_ && up_->is_open())) return;
  // Whoever left contributes nothing any more; those who wait for it know.
  if (std::find(has_left_.begin(), has_left_.end(), true) != has_left_.end()) return;
  std::size_t hubs = 0;
  for (const Below& below : below_) {
    if (below.known && !below.delivered) return;
    hubs += below.known && !below.local ? 1 : 0;
  }
  if (hubs != children()) return;
  if (collected_.size() > kMostTable) {
    return fail(Status(Code::kUnsupported, fmt::format("an exchange of {} bytes is over the limit of {}",
                                                       collected_.size(), kMostTable)));
  }
  ByteWriter whole;
  (void)fault_point(Point::kHubGathered);
  whole.number(sequence_);
  whole.number(collected_count_);
  whole.raw(collected_.view());
  passed_on_ = true;
  if (!at_root()) return send_up(Message::kGather, whole.view());
  if (collected_count_ != static_cast<std::uint32_t>(ranks()))
    return fail_garbled(setup_.leader, Message::kGather);
  spread_table(whole.view());
}

void Hub::spread_table(BytesView table) {
  std::uint64_t sequence = 0;
  std::vector<Contribution> list;
  if (!failed_.ok()) return;
  if (!parse_contributions(table, ranks(), &sequence, &list) || sequence != sequence_ ||
      list.size() != static_cast<std::size_t>(ranks())) {
    return fail_garbled(place_.parent, Message::kTable);
  }
  if (sequence == 0) {
    members_.resize(list.size());
    has_left_.assign(list.size(), false);
    for (const Contribution& one : list) {
      Introduction introduction;
      if (!Introduction::parse(one.bytes, &introduction)) {
        members_.clear();
        return fail_garbled(place_.parent, Message::kTable);
      }
      members_[static_cast<std::size_t>(one.rank)] = std::move(introduction.member);
    }
  }
  for (Below& below : below_) {
    send_below(below, Message::kTable, table);
    (void)fault_point(Point::kHubSpread);
    below.delivered = below.accounted = false;
  }
  ++sequence_;
  collected_ = ByteWriter();
  collected_count_ = 0;
  passed_on_ = late_ = false;
  missing_.clear();
  loop_.cancel(account_timer_);
  if (sequence != 0) return;
  // Everybody is here: nobody needs the root or the local name any more.
  tell_neighbours();
  if (root_) root_->send(Message::kDone, {});
  local_gate_->close_door(local_door_);
  local_gate_.reset();
}

void Hub::tell_neighbours() const {
  Neighbours neighbours;
  if (!at_root()) neighbours.list.push_back(place_.parent_place);
  for (const Below& below : below_) {
    if (!below.local && below.known) neighbours.list.push_back(below.place);
  }
  for (const Below& below : below_) {
    if (below.local) below.link->send(Message::kNeighbours, neighbours.encode());
  }
}

void Hub::late(const Lateness& lateness, const Link* from) {
  if (sequence_ == 0 || lateness.sequence != sequence_ || late_ || !failed_.ok()) return;
  waited_ms_ = lateness.waited_ms;
  late_ = true;
  if (up_.get() != from) send_up(Message::kLate, lateness.encode());
  for (Below& below : below_) {
    below.accounted = below.delivered || below.local;
    if (below.local && !below.delivered) missing_.push_back(below.process.rank);
    if (!below.local && below.link.get() != from) send_below(below, Message::kLate, lateness.encode());
  }
  account_timer_ = loop_.after(kAccounting * floors_below(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->conclude_if_accounted(true);
  });
  conclude_if_accounted(false);
}

void Hub::account(Below& below, const Absence& absence) {
  if (absence.sequence != sequence_ || !late_ || below.accounted) return;
  below.accounted = true;
  missing_.insert(missing_.end(), absence.ranks.begin(), absence.ranks.end());
  conclude_if_accounted(false);
}

void Hub::conclude_if_accounted(bool waited_enough) {
  if (!late_ || !failed_.ok() || passed_on_) return;
  for (const Below& below : below_) {
    if (below.accounted) continue;
    if (!waited_enough) return;
    missing_.insert(missing_.end(), below.ranks.begin(), below.ranks.end());
  }
  loop_.cancel(account_timer_);
  if (!at_root()) return send_up(Message::kMissing, Absence{sequence_, missing_}.encode());
  std::vector<std::string> hosts;
  std::vector<Rank> valid;
  for (const Rank rank : missing_) {
    if (rank >= ranks()) continue;
    valid.push_back(rank);
    hosts.push_back(members_[static_cast<std::size_t>(rank)].host_name);
  }
  fail(Status(
      Code::kRemote,
      fmt::format(
          "{} of {} ranks did not come to an exchange within {:g} s: {} on {}; are they stopped, or do they "
          "call something else?",
          valid.size(), ranks(), waited_ms_ / 1000.0, ranks_text(valid), hosts_text(hosts))));
}

void Hub::farewell(Below& below) {
  const std::shared_ptr<Link> link = below.link;
  below.left = below.answered = true;
  // One that leaves while others still join has given up: alone, or it has said why.
  if (!members_.empty())
    note_left({below.process.rank}, link.get());
  else if (place_.hosts == 0)
    withdraw(below, 0);
  else
    fail(gave_up(below.process), link.get());
  link->send(Message::kLeave, {});
  conclude_roll(false);
}

void Hub::note_left(const std::vector<Rank>& ranks_left, const Link* from) {
  for (const Rank rank : ranks_left) {
    if (rank < ranks() && !has_left_.empty()) has_left_[static_cast<std::size_t>(rank)] = true;
  }
  const auto payload = Absence{0, ranks_left}.encode();
  if (up_.get() != from) send_up(Message::kLeft, payload);
  for (const Below& below : below_) {
    if (below.link.get() != from) send_below(below, Message::kLeft, payload);
  }
}

void Hub::fail(const Status& why, const Link* from) {
  if (!failed_.ok()) return;
  failed_ = why;
  const auto payload = Failure{why}.encode();
  if (root_ && root_.get() != from) root_->send(Message::kFail, payload);
  if (up_.get() != from) send_up(Message::kFail, payload);
  for (const Below& below : below_) {
    if (below.link.get() != from) send_below(below, Message::kFail, payload);
  }
  // Who comes from now on is at its next try. (Where nobody has come yet, the one who started this is told.)
  if (setup_.root_may_be_late && members_.empty() && !entries_.empty()) close_doors();
}

void Hub::starve() { fail(Status(Code::kRemote, kStarved).within(setup_.leader.text())); }

void Hub::mourn(const Process& process, const std::vector<Rank>& ranks_lost, const LinkEnd& end) {
  if (end.error == ENOMEM) return starve();
  if (ranks_lost.empty()) return;
  const Status death = death_of(process, ranks_lost, end);
  fail(death);
  if (!members_.empty()) spread_obituary(Obituary{ranks_lost, death}.encode(), nullptr);
}

void Hub::spread_obituary(BytesView payload, const Link* from) {
  if (up_.get() != from) send_up(Message::kDead, payload);
  for (const Below& below : below_) {
    if (below.link.get() != from) send_below(below, Message::kDead, payload);
  }
}

void Hub::fail_garbled(const Process& from, Message type) {
  fail(Status(Code::kInternal, fmt::format("{} sent a message of kind {} that host {} cannot read here",
                                           from.text(), static_cast<int>(type), setup_.host.name)));
}

std::vector<Rank> Hub::lost_with(const Process& leader, const Neighbour& place, const LinkEnd& end) const {
  if (members_.empty()) return {leader.rank};
  return end.is_silence() ? ranks_on(members_, has_left_, place.host)
                          : ranks_in(members_, has_left_, leader.id, place.host);
}

}  // namespace hansa::bootstrap
