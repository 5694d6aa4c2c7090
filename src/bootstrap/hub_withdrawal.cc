// Ranks whose time is over before all have come. Where the ranks of a reunion meet, such a one goes alone:
// others may have come but now, and it may come again itself. Elsewhere nobody can do without it.
#include <fmt/format.h>

#include <algorithm>

#include "bootstrap/hub.hpp"
#include "bootstrap/withdrawal.hpp"

namespace hansa::bootstrap {

void Hub::late_to_join(Below& below, const Lateness& lateness) {
  if (lateness.sequence != 0 || !failed_.ok()) return;
  if (setup_.root_may_be_late) return withdraw(below, lateness.waited_ms);
  if (place_.hosts != 0 && name_the_silent(lateness.waited_ms)) return;
  if (root_ && root_->is_open()) return root_->send(Message::kLate, lateness.encode());
  fail(Status(
      Code::kRemote,
      fmt::format("cannot reach the process that made the unique id at {} within {:g} s: no answer; set "
                  "HANSA_INTERFACE to a network that all hosts share, and see that no firewall blocks it",
                  setup_.invitation.root.text(), lateness.waited_ms / 1000.0)));
}

// All have joined; of this host's ranks it is known who has said nothing since. The root knows hosts only.
bool Hub::name_the_silent(std::uint32_t waited_ms) {
  std::vector<Rank> silent;
  for (const Below& below : below_)
    if (below.local && below.known && !below.delivered) silent.push_back(below.process.rank);
  if (silent.empty()) return false;
  fail(Status(
      Code::kRemote,
      fmt::format("all {} ranks joined, but not all were connected within {:g} s: {} on host {} missing; "
                  "are they stopped?",
                  ranks(), waited_ms / 1000.0, ranks_text(silent), setup_.leader.host_name)));
  return true;
}

// Only the root can tell whether it goes or is one of all who have come.
void Hub::withdraw(const Below& below, std::uint32_t waited_ms) {
  if (!setup_.root_may_be_late || !failed_.ok()) return;
  const auto entered = std::find_if(entries_.begin(), entries_.end(), [&](const Entered& one) {
    return !one.withdrawn && one.seat.lock() == below.link;
  });
  if (entered == entries_.end()) return;
  if (root_ && root_->is_open()) {
    entered->withdrawn = true;
    return root_->send(Message::kWithdraw, Withdrawal{entered->entry.process.rank, waited_ms}.encode());
  }
  // The root has not heard of it yet.
  dismiss(entered, Status(Code::kRemote,
                          fmt::format("the rank at {} that is to be the first of the new communicator did "
                                      "not come within {:g} s: do all ranks make the same call with the same "
                                      "list of ranks?",
                                      setup_.invitation.root.text(), waited_ms / 1000.0)));
}

// One that has withdrawn may have come again meanwhile.
void Hub::take_dismissal(const Dismissal& dismissal) {
  const auto find = [&](bool withdrawn) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entered& one) {
      return one.withdrawn == withdrawn && one.entry.process.rank == dismissal.rank;
    });
  };
  auto entered = find(true);
  if (entered == entries_.end()) entered = find(false);
  if (entered != entries_.end()) dismiss(entered, dismissal.why);
}

void Hub::dismiss(std::vector<Entered>::iterator entered, const Status& why) {
  const std::shared_ptr<Link> link = entered->seat.lock();
  take_back_contribution(entered->entry.process.rank);
  entries_.erase(entered);
  const Below* const below = link ? below_of(*link) : nullptr;
  if (!below) return;
  if (!below->left) link->send(Message::kFail, Failure{why}.encode());
  dismissed_.push_back(link);
  forget(*link);
}

// The oldest: it may have come again before this try has ended here.
void Hub::take_back_contribution(Rank rank) {
  ByteReader reader(collected_.view());
  ByteWriter others;
  bool found = false;
  while (reader.left() > 0) {
    const auto whose = reader.number<Rank>();
    const BytesView bytes = reader.blob(kMostContribution);
    if (!found && whose == rank) {
      found = true;
      --collected_count_;
      continue;
    }
    others.number(whose);
    others.blob(bytes);
  }
  collected_ = std::move(others);
}

// The root counts on ranks of this host that have given up meanwhile, because they heard from nobody.
bool Hub::all_still_here() {
  for (const Entered& one : entries_) {
    const std::shared_ptr<Link> link = one.seat.lock();
    const Below* const below = link ? below_of(*link) : nullptr;
    if (below && !below->left) continue;
    fail(gave_up(one.entry.process));
    return false;
  }
  return true;
}

}  // namespace hansa::bootstrap
