// A seat's part in a roll call: it asks, answers, and hears the verdict.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "bootstrap/knock.hpp"
#include "bootstrap/of_process.hpp"
#include "bootstrap/seat.hpp"

namespace hansa::bootstrap {
namespace {

// A wait elsewhere that is shorter is no reason for being late here.
constexpr std::uint32_t kWaitMs = 100;
// When no verdict has come, its leaders themselves are in question. Longer than any roll takes.
constexpr std::chrono::milliseconds kNoVerdict{3000};
// Waits before a rank knocks at the hosts of those it waits for, and how much longer before it does again: a
// stopped process does not take the knocks in, and its kernel holds some thousands only.
constexpr std::uint32_t kKnockMs = 500, kKnockAgain = 10;
constexpr std::size_t kMostKnocks = 8;

}  // namespace

void Seat::ask(const Concern& concern, std::uint32_t still_ms) {
  loop_.post([self = shared_from_this(), concern, still_ms] {
    if (self->left_ || !self->joined()) return;
    if (!self->link_) {
      self->look_for_ended();
      if (concern.why == Concern::Why::kLate) self->speak_for_leader(concern.number);
      return;
    }
    self->link_->send(Message::kConcern, RaisedConcern{self->self_.rank, concern}.encode());
    self->knock(still_ms);
    if (concern.why != Concern::Why::kLate) return;
    self->loop_.after(kNoVerdict,
                      [weak = self->weak_from_this(), number = concern.number, asked = ++self->asked_] {
                        const auto seat = weak.lock();
                        if (seat && seat->answered_ < asked) seat->speak_for_leader(number);
                      });
  });
}

// The leader of this host has left in order and ended, so that nobody tells of deaths any more. Whoever is
// waited for should be there; who else has ended may have left in order, too. Its last messages may have come
// since the wait was noted: whoever is still waited for when this is asked again sends no more.
void Seat::look_for_ended() {
  if (!watcher_.whereabouts) return;
  for (const Rank rank : watcher_.whereabouts(0).waits_for) {
    const Member member = members()[static_cast<std::size_t>(rank)];
    if (member.host != setup_.host.id || !has_ended(member.pid)) continue;
    if (std::find(ended_.begin(), ended_.end(), rank) == ended_.end()) {
      ended_.push_back(rank);
      continue;
    }
    const Status end(
        Code::kRemote,
        fmt::format("rank {} (host {}, pid {}) has ended, and rank {} still waits for it: it died, or "
                    "left the communicator without making the same calls",
                    rank, member.host_name, member.pid, self_.rank));
    note_dead({rank}, end);
    return fail(end);
  }
}

// Only neighbours in the tree of hosts watch each other, but data go between any two.
void Seat::knock(std::uint32_t still_ms) {
  if (!watcher_.whereabouts) return;
  const Whereabouts is = watcher_.whereabouts(0);
  if (still_ms < knocked_ms_) knocked_ms_ = 0;  // something has moved since
  if (is.state != Whereabouts::State::kInside || still_ms < std::max(kKnockMs, kKnockAgain * knocked_ms_))
    return;
  knocked_ms_ = still_ms;
  std::size_t knocks = 0;
  for (const Rank rank : is.waits_for) {
    const Member member = members()[static_cast<std::size_t>(rank)];
    if (member.host == setup_.host.id || ++knocks > kMostKnocks) continue;
    const Process process{rank, member.pid, member.process, member.host_name};
    Knock::at(loop_, gate_of(rank), [weak = weak_from_this(), process](const Rail& rail) {
      if (const auto self = weak.lock()) self->miss(process, rail);
    });
  }
}

void Seat::miss(const Process& process, const Rail& rail) {
  if (left_ || !link_ || !watcher_.whereabouts) return;
  const auto waits_for = watcher_.whereabouts(0).waits_for;
  if (std::find(waits_for.begin(), waits_for.end(), process.rank) == waits_for.end()) return;
  const Status why = out_of_reach(process, self_.rank, {ETIMEDOUT, rail, setup_.host.name});
  link_->send(Message::kFail, Failure{why}.encode());
  fail(why);
}

void Seat::answer(const RollCall& call) {
  if (left_) return;
  Presence presence;
  if (watcher_.whereabouts) presence.whereabouts = watcher_.whereabouts(call.number);
  presence.elsewhere = elsewhere();
  const auto bytes = presence.encode();
  link_->send(Message::kPresent, encode_contributions(call.sequence, {{self_.rank, bytes}}));
}

std::vector<Elsewhere> Seat::elsewhere() const {
  std::vector<Elsewhere> all;
  for (const auto& seat : loop_.local<OfProcess<Seat>>().all) {
    if (all.size() == Presence::kMostElsewhere) break;
    if (equal(seat->setup_.key, setup_.key) || !seat->watcher_.whereabouts) continue;
    const Whereabouts is = seat->watcher_.whereabouts(0);
    if (is.state != Whereabouts::State::kInside || is.since_ms < kWaitMs) continue;
    all.push_back({is.call + " on " + is.communicator,
                   seat->processes_of(seat->missing_.empty() ? is.waits_for : seat->missing_)});
  }
  return all;
}

std::vector<std::uint64_t> Seat::processes_of(const std::vector<Rank>& ranks) {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> processes;
  for (const Rank rank : ranks)
    if (static_cast<std::size_t>(rank) < members_.size())
      processes.push_back(members_[static_cast<std::size_t>(rank)].process);
  return processes;
}

// Whatever it says, the leaders are alive.
void Seat::take_verdict(const Verdict& verdict) {
  missing_ = verdict.missing;
  answered_ = asked_;
  if (watcher_.judged) watcher_.judged(verdict);
}

// The first leader, or this host's, would have told.
void Seat::speak_for_leader(std::uint64_t number) {
  if (left_ || !watcher_.whereabouts || !watcher_.judged) return;
  const Whereabouts is = watcher_.whereabouts(0);
  if (!still_in(is, number)) return;
  Verdict verdict;
  verdict.late = true;
  verdict.speaker = self_.rank;
  verdict.missing = is.waits_for;
  const bool stopped = link_ && is_stopped(hub_.pid);
  if (stopped) verdict.missing = {hub_.rank};
  std::string waits_for;
  for (const Rank rank : is.waits_for) {
    const Member member = members()[static_cast<std::size_t>(rank)];
    waits_for += fmt::format("{}rank {} (host {}, pid {})", waits_for.empty() ? " for " : ", ", rank,
                             member.host_name, member.pid);
  }
  verdict.text = fmt::format(
      "{} has been waiting for {:.1f} s{}, and {}", is.call, is.since_ms / 1000.0, waits_for,
      !link_
          ? fmt::format("{}, which led the ranks of this host, has left and ended, so that nobody asks the "
                        "others; `hansa status` on their hosts tells what they do",
                        hub_.text())
      : stopped
          ? fmt::format("{}, which leads the ranks of its host, is stopped (SIGSTOP or a debugger); SIGCONT "
                        "lets it go on",
                        hub_.text())
          : "the leaders of the hosts do not tell who is late: is one of them stopped, or the network down?");
  take_verdict(verdict);
}

}  // namespace hansa::bootstrap
