// How a hub takes part in a roll call: it carries concerns up, asks everybody below, answers for those of its
// host that do not, and, as the first, judges.
#include <fmt/format.h>

#include <algorithm>

#include "bootstrap/hub.hpp"

namespace hansa::bootstrap {
namespace {

// How long a hub waits for answers, for each floor of the tree below it. A healthy control thread answers in
// well under a millisecond.
constexpr std::chrono::milliseconds kAnswer{200};

// Between rolls, so that those who wait are answered together however many there are.
constexpr std::chrono::milliseconds kPause{100};
constexpr Rank kRanksPerPause = 10'000;  // by which the pause grows
// What is in question at a time; who does not fit in asks again.
constexpr std::size_t kMostConcerns = 64;

}  // namespace

// Collectives are everybody's, messages each rank's own.
Hub::ConcernKey Hub::key_of(const RaisedConcern& raised) {
  return {raised.concern.number, raised.concern.number != 0 ? -1 : raised.rank};
}

void Hub::concern(const RaisedConcern& raised) {
  if (!failed_.ok() || members_.empty() || raised.rank >= ranks()) return;
  const ConcernKey key = key_of(raised);
  const auto known = concerns_.find(key);
  const bool graver = known == concerns_.end() || raised.concern.why > known->second.concern.why;
  if (!graver || (known == concerns_.end() && concerns_.size() >= kMostConcerns)) return;
  concerns_[key] = raised;
  // The others of this host and below are answered with it.
  if (!at_root()) return send_up(Message::kConcern, raised.encode());
  consider(raised.concern.why == Concern::Why::kMismatch);
}

// The gravest first. Calls that differ do not wait: everybody who does is to fail soon.
void Hub::consider(bool at_once) {
  if (roll_.running || concerns_.empty() || !failed_.ok()) return;
  const auto now = control::EventLoop::Clock::now();
  const auto next = rolled_at_ + kPause * (1 + ranks() / kRanksPerPause);
  if (!at_once && now < next) {
    loop_.cancel(pause_timer_);
    pause_timer_ =
        loop_.after(std::chrono::ceil<std::chrono::milliseconds>(next - now), [weak = weak_from_this()] {
          if (const auto self = weak.lock()) self->consider(true);
        });
    return;
  }
  const auto gravest = std::max_element(concerns_.begin(), concerns_.end(), [](const auto& a, const auto& b) {
    return a.second.concern.why < b.second.concern.why;
  });
  concern_ = gravest->second;
  concerns_.erase(gravest);
  rolled_at_ = now;
  call_roll({roll_.call.sequence + 1, concern_.concern.number});
}

void Hub::call_roll(const RollCall& call) {
  if (!failed_.ok() || members_.empty()) return;
  loop_.cancel(roll_.timer);
  roll_ = {};
  roll_.running = true;
  roll_.call = call;
  for (Below& below : below_) {
    below.answered = !below.known || below.left;
    if (!below.answered) send_below(below, Message::kRollCall, call.encode());
  }
  roll_.timer = loop_.after(kAnswer * floors_below(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->conclude_roll(true);
  });
  conclude_roll(false);
}

void Hub::present(Below& below, BytesView payload) {
  std::uint64_t sequence = 0;
  std::vector<Contribution> list;
  const bool good = parse_contributions(payload, ranks(), &sequence, &list) &&
                    (!below.local || (list.size() == 1 && list[0].rank == below.process.rank));
  if (!good) return fail_garbled(below.process, Message::kPresent);
  if (!roll_.running || sequence != roll_.call.sequence || below.answered) return;
  for (const Contribution& one : list) {
    Presence presence;
    const bool its_own = std::find(below.ranks.begin(), below.ranks.end(), one.rank) != below.ranks.end();
    if (!its_own || !Presence::parse(one.bytes, ranks(), &presence))
      return fail_garbled(below.process, Message::kPresent);
    roll_.answers.emplace_back(one.rank, std::move(presence));
  }
  below.answered = true;
  conclude_roll(false);
}

void Hub::conclude_roll(bool waited_enough) {
  if (!roll_.running || !failed_.ok()) return;
  for (const Below& below : below_)
    if (!below.answered && !waited_enough) return;
  for (const Below& below : below_) {
    if (below.answered || !below.local) continue;
    Presence presence;
    presence.whereabouts.state =
        is_stopped(below.process.pid) ? Whereabouts::State::kStopped : Whereabouts::State::kSilent;
    roll_.answers.emplace_back(below.process.rank, std::move(presence));
  }
  loop_.cancel(roll_.timer);
  roll_.running = false;
  if (at_root()) return judge_roll();
  std::vector<std::vector<std::byte>> bytes;
  for (const auto& [rank, presence] : roll_.answers) bytes.push_back(presence.encode());
  std::vector<Contribution> list;
  for (std::size_t i = 0; i < bytes.size(); ++i) list.push_back({roll_.answers[i].first, bytes[i]});
  send_up(Message::kPresent, encode_contributions(roll_.call.sequence, list));
}

void Hub::judge_roll() {
  std::vector<Presence> roll(members_.size());
  for (Presence& presence : roll) presence.whereabouts.state = Whereabouts::State::kSilent;
  for (auto& [rank, presence] : roll_.answers) roll[static_cast<std::size_t>(rank)] = std::move(presence);
  for (std::size_t rank = 0; rank < roll.size(); ++rank)
    if (has_left_[rank]) roll[rank].whereabouts.state = Whereabouts::State::kLeft;
  Judgement judgement = judge(members_, roll, concern_);
  if (!judgement.failure.ok()) return fail(judgement.failure);
  const auto waited = roll[static_cast<std::size_t>(concern_.rank)].whereabouts.since_ms;
  if (judgement.verdict.late && told(judgement.verdict.missing, waited)) judgement.verdict.late = false;
  spread_verdict(encode_verdict(judgement.verdict));
  consider(false);
}

// Every rank that waits asks; people are told once, and again when twice the time is over. (A third of it: a
// rank counts from when it began to wait, and none begin together.)
bool Hub::told(const std::vector<Rank>& missing, std::uint32_t waited_ms) {
  const auto now = control::EventLoop::Clock::now();
  const bool again = told_.number == concern_.concern.number && told_.missing == missing &&
                     now - told_.at < std::chrono::milliseconds(waited_ms / 3);
  if (!again) told_ = {concern_.concern.number, missing, now};
  return again;
}

void Hub::spread_verdict(BytesView payload) {
  if (!at_root()) concerns_.clear();  // who is still concerned asks again
  for (const Below& below : below_) send_below(below, Message::kVerdict, payload);
}

}  // namespace hansa::bootstrap
