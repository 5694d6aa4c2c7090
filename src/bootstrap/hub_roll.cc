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

bool graver(const RaisedConcern& a, const RaisedConcern& b) { return a.concern.why > b.concern.why; }

}  // namespace

void Hub::concern(const RaisedConcern& raised, BytesView payload) {
  if (!failed_.ok() || members_.empty() || raised.rank >= ranks()) return;
  if (!at_root()) return send_up(Message::kConcern, payload);
  if (!roll_.running) {
    concern_ = raised;
    return call_roll({roll_.call.sequence + 1, raised.concern.number});
  }
  // One roll serves all who are concerned about the same; the others wait for the next.
  if (raised.concern.number == concern_.concern.number && !graver(raised, concern_)) return;
  if (!next_concern_ || graver(raised, *next_concern_)) next_concern_ = raised;
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
    if (!Presence::parse(one.bytes, ranks(), &presence))
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
  for (std::size_t rank = 0; rank < roll.size(); ++rank) {
    roll[rank].whereabouts.state =
        has_left_[rank] ? Whereabouts::State::kOutside : Whereabouts::State::kSilent;
    if (has_left_[rank]) roll[rank].whereabouts.call = "ncclCommDestroy: it has left the communicator";
  }
  for (auto& [rank, presence] : roll_.answers) roll[static_cast<std::size_t>(rank)] = std::move(presence);
  Judgement judgement = judge(members_, roll, concern_);
  if (!judgement.failure.ok()) return fail(judgement.failure);
  const auto waited = roll[static_cast<std::size_t>(concern_.rank)].whereabouts.since_ms;
  if (judgement.verdict.late && told(judgement.verdict.missing, waited)) judgement.verdict.late = false;
  if (!judgement.verdict.text.empty()) spread_verdict(encode_verdict(judgement.verdict));
  if (!next_concern_) return;
  concern_ = *std::exchange(next_concern_, std::nullopt);
  call_roll({roll_.call.sequence + 1, concern_.concern.number});
}

// Every rank that waits asks; people are told once, and again when twice the time is over.
bool Hub::told(const std::vector<Rank>& missing, std::uint32_t waited_ms) {
  const auto now = control::EventLoop::Clock::now();
  const bool again = told_.number == concern_.concern.number && told_.missing == missing &&
                     now - told_.at < std::chrono::milliseconds(waited_ms / 2);
  if (!again) told_ = {concern_.concern.number, missing, now};
  return again;
}

void Hub::spread_verdict(BytesView payload) {
  for (const Below& below : below_) send_below(below, Message::kVerdict, payload);
}

}  // namespace hansa::bootstrap
