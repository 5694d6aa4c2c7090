// A seat's part in a roll call: it asks, answers, and hears the verdict.
#include <fmt/format.h>

#include <algorithm>

#include "bootstrap/seat.hpp"
#include "bootstrap/seats_of_process.hpp"

namespace hansa::bootstrap {
namespace {

// A wait elsewhere that is shorter is no reason for being late here.
constexpr std::uint32_t kWaitMs = 100;
// When no verdict has come, its leaders themselves are in question.
constexpr std::chrono::milliseconds kNoVerdict{1500};

}  // namespace

void Seat::ask(const Concern& concern) {
  loop_.post([self = shared_from_this(), concern] {
    if (!self->link_ || self->left_ || !self->joined()) return;
    self->link_->send(Message::kConcern, RaisedConcern{self->self_.rank, concern}.encode());
    if (concern.why != Concern::Why::kLate) return;
    self->loop_.after(kNoVerdict, [weak = self->weak_from_this(), asked = ++self->asked_] {
      if (const auto seat = weak.lock()) seat->speak_for_leader(asked);
    });
  });
}

void Seat::answer(const RollCall& call) {
  Presence presence;
  if (watcher_.whereabouts) presence.whereabouts = watcher_.whereabouts(call.number);
  presence.elsewhere = elsewhere();
  const auto bytes = presence.encode();
  link_->send(Message::kPresent, encode_contributions(call.sequence, {{self_.rank, bytes}}));
}

std::vector<Elsewhere> Seat::elsewhere() const {
  std::vector<Elsewhere> all;
  for (const auto& seat : loop_.local<SeatsOfProcess>().seats) {
    if (equal(seat->setup_.key, setup_.key) || !seat->watcher_.whereabouts) continue;
    const Whereabouts is = seat->watcher_.whereabouts(0);
    if (is.state != Whereabouts::State::kInside || is.since_ms < kWaitMs) continue;
    Elsewhere other{is.call + " on " + is.communicator, {}};
    const std::vector<Rank>& missing = seat->missing_.empty() ? is.waits_for : seat->missing_;
    const std::vector<Member> members = seat->members();
    for (const Rank rank : missing)
      if (static_cast<std::size_t>(rank) < members.size())
        other.waits_for.push_back(members[static_cast<std::size_t>(rank)].process);
    all.push_back(std::move(other));
  }
  return all;
}

void Seat::take_verdict(const Verdict& verdict) {
  missing_ = verdict.missing;
  if (verdict.late) answered_ = asked_;
  if (watcher_.judged) watcher_.judged(verdict);
}

// The first leader, or this host's, would have told.
void Seat::speak_for_leader(std::uint64_t asked) {
  if (answered_ >= asked || left_ || !watcher_.whereabouts || !watcher_.judged) return;
  const Whereabouts is = watcher_.whereabouts(0);
  if (is.state != Whereabouts::State::kInside) return;
  Verdict verdict;
  verdict.late = true;
  verdict.speaker = self_.rank;
  verdict.missing = is.waits_for;
  const bool stopped = is_stopped(hub_.pid);
  if (stopped) verdict.missing = {hub_.rank};
  verdict.text = fmt::format(
      "{} has been waiting for {:.1f} s{}, and {}", is.call, is.since_ms / 1000.0,
      is.waits_for.empty() ? "" : " for " + ranks_text(is.waits_for),
      stopped
          ? fmt::format("{}, which leads the ranks of its host, is stopped (SIGSTOP or a debugger); SIGCONT "
                        "lets it go on",
                        hub_.text())
          : "the leaders of the hosts do not tell who is late: is one of them stopped, or the network down?");
  take_verdict(verdict);
}

}  // namespace hansa::bootstrap
