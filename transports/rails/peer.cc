#include "transports/rails/peer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hansa::rails {
namespace {

using namespace std::chrono_literals;

// For how long a piece may be on its way before its rail is asked after, and how long apart the peer must
// have said twice that it has not come.
constexpr auto kQuiet = 200ms, kGrace = 300ms;
// What has come is reported after so long if nothing goes back that it can ride on; or, where the peer may
// soon have no room, after so many looks.
constexpr auto kReportAfter = 5ms;
constexpr std::uint32_t kLowPasses = 4;
// Pieces that the nearest rail may have more on their way than another: ranks that answer each other have as
// many.
constexpr std::uint32_t kFurther = 2;
// Looks between two at what the peer says apart from its data.
constexpr std::uint32_t kListenEvery = 4, kQuietListenEvery = 32;

}  // namespace

Peer::Peer(Common& common, Rank rank, Ways ways)
    : common_(common), rank_(rank), ways_(std::move(ways)), watches_(ways_.size()), order_(ways_.size()) {
  const Capabilities& can = common_.capabilities;
  for (std::uint16_t lane = 0; lane < common_.lanes; ++lane) {
    outs_.emplace_back(ways_, lane, can.slots);
    ins_.emplace_back(ways_, lane, can.slots, can.slot_bytes);
  }
  for (std::size_t rail = 0; rail < ways_.size(); ++rail) {
    ways_[rail].up = ways_[rail].endpoint != nullptr;
    watches_[rail].broken = !ways_[rail].up;
  }
}

std::byte* Peer::reserve(std::uint16_t lane, std::uint32_t ahead) {
  talked_ = true;
  if (closed_ || gone_ || !common_.status.ok()) return nullptr;
  const auto by = [this](std::size_t attempt) { return deal(attempt); };
  std::byte* slot = outs_[lane].reserve(ahead, by);
  // Word of room may ride on what the user does not want before it has sent.
  if (slot == nullptr && take_all(lane)) slot = outs_[lane].reserve(ahead, by);
  quiet_ = quiet_ && slot != nullptr;
  return slot;
}

void Peer::commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) {
  const Counts counts = ins_[lane].counts();
  quiet_ = false;
  // Nobody may have looked for long.
  if (outs_[lane].all_arrived()) common_.now = Clock::now();
  orphans_ = outs_[lane].commit(bytes, stamp, counts, common_.now) || orphans_;
  ins_[lane].told(counts);
}

Arrival Peer::peek(std::uint16_t lane, std::uint32_t ahead) {
  talked_ = true;
  if (closed_) return {};
  Arrival arrival = ins_[lane].peek(ahead);
  if (arrival.data == nullptr && take_all(lane)) arrival = ins_[lane].peek(ahead);
  return arrival;
}

Rail Peer::deal(std::size_t attempt) {
  if (attempt == 0) rank_rails();
  return attempt < candidates_ ? order_[attempt] : kNoRail;
}

// Those that are up: the nearest alone, or where pieces are striped, by what is on its way already. Nothing
// is most of the time when messages are small, so these go by the nearest.
void Peer::rank_rails() {
  candidates_ = 0;
  for (std::size_t turn = 0; turn < rails(); ++turn) {
    const auto rail = static_cast<Rail>((common_.nearest + turn) % rails());
    if (!ways_[rail].up) continue;
    std::size_t place = candidates_++;
    if (!common_.stripes && place > 0) {
      candidates_ = 1;
      return;
    }
    for (; place > 0 && load(order_[place - 1]) > load(rail); --place) order_[place] = order_[place - 1];
    order_[place] = rail;
  }
}

std::uint32_t Peer::load(Rail rail) const {
  return ways_[rail].in_flight + (rail == common_.nearest ? 0 : kFurther);
}

bool Peer::take_all(std::uint16_t lane) {
  const auto heard = [&out = outs_[lane]](const Counts& counts) { return out.hear(counts); };
  for (std::size_t rail = 0; rail < rails(); ++rail)
    if (ways_[rail].endpoint && !ins_[lane].take(static_cast<Rail>(rail), heard)) {
      common_.fail(Code::kInternal, fmt::format("rails: bytes have come from {} that it cannot have sent",
                                                common_.name_of(rank_)));
      return false;
    }
  return common_.status.ok();
}

void Peer::take_everything() {
  for (std::uint16_t lane = 0; lane < common_.lanes; ++lane) (void)take_all(lane);
}

bool Peer::attend() {
  if (passes_++ % kQuietListenEvery != 0 && quiet_) return false;
  bool any = false;
  if (passes_ % kListenEvery == 1 || doubt_ != Doubt::kNone || parting_) {
    for (std::size_t rail = 0; rail < rails(); ++rail)
      if (ways_[rail].endpoint) any = listen(static_cast<Rail>(rail)) || any;
    for (std::uint16_t lane = 0; lane < common_.lanes; ++lane)
      if (outs_[lane].waits_since() != kNever) (void)take_all(lane);
    consider();
  }
  any = speak() || any;
  quiet_ = !any && idle() && doubt_ == Doubt::kNone && !parting_;
  return any;
}

bool Peer::listen(Rail rail) {
  bool any = false;
  Endpoint& way = *ways_[rail].endpoint;
  for (Arrival arrival; (arrival = way.peek(common_.own_lane(), 0)).data != nullptr; any = true) {
    const bool sane = hear(rail, static_cast<Kind>(arrival.stamp), {arrival.data, arrival.bytes});
    way.release(common_.own_lane());
    if (sane) continue;
    common_.fail(Code::kInternal, fmt::format("rails: words have come from {} that it cannot have said",
                                              common_.name_of(rank_)));
    return any;
  }
  return any;
}

bool Peer::hear(Rail rail, Kind kind, BytesView message) {
  switch (kind) {
    case Kind::kAsk: {
      const auto ask = read_ask(message);
      if (ask && !watches_[rail].broken) watches_[rail].answer = std::max(watches_[rail].answer, ask->round);
      return ask.has_value();
    }
    case Kind::kReport: {
      const auto report = read_report(message, common_.lanes);
      return report && hear(rail, *report);
    }
    case Kind::kPiece: {
      const auto again = read_again(message, common_.capabilities.slot_bytes, common_.lanes);
      return again && ins_[again->lane].take_again(message.first(again->piece.bytes), *again);
    }
  }
  return false;
}

bool Peer::hear(Rail rail, const Report& report) {
  for (std::uint16_t lane = 0; lane < common_.lanes; ++lane)
    if (!outs_[lane].hear(report.counts[lane])) return false;
  last_word_ = last_word_ || (report.parting && !gone_ && !parted_);
  gone_ = gone_ || report.parting;
  heard_ = heard_ || report.heard;
  if (report.round > round_) return false;
  Watch& watch = watches_[rail];
  watch.answered = std::max(watch.answered, report.round);
  heard_round_ = std::max(heard_round_, report.round);
  if (!ways_[rail].up && !watch.broken && report.round > 0 && report.round >= watch.lost_in) take_up(rail);
  return true;
}

// It may be the only one that can answer what others were asked.
void Peer::take_up(Rail rail) {
  ways_[rail].up = true;
  if (doubt_ != Doubt::kNone) watches_[rail].due = round_;
  common_.rail_back(rail, rank_);
}

Clock::time_point Peer::waits_since() const {
  Clock::time_point since = kNever;
  for (const OutLane& out : outs_) since = std::min(since, out.waits_since());
  for (const Way& way : ways_)
    if (way.up) since = std::min(since, way.wanted);
  return since;
}

// Goes on with a doubt: ask, wait for the answer of any rail, wait, ask again, judge by that answer.
void Peer::consider() {
  const Clock::time_point since = waits_since();
  if (since == kNever || gone_ || (doubt_ != Doubt::kNone && since > asked_at_)) doubt_ = Doubt::kNone;
  const Clock::time_point now = common_.now;
  switch (doubt_) {
    case Doubt::kNone:
      if (since == kNever || gone_ || now - since < kQuiet) return;
      ask();
      first_round_ = round_;
      asked_at_ = now;
      doubt_ = Doubt::kAsked;
      return;
    case Doubt::kAsked:
      if (heard_round_ < first_round_) return;
      answered_at_ = now;
      doubt_ = Doubt::kAnswered;
      return;
    case Doubt::kAnswered:
      if (now - answered_at_ < kGrace) return;
      ask();
      doubt_ = Doubt::kAskedAgain;
      return;
    case Doubt::kAskedAgain:
      if (heard_round_ < round_) return;
      judge();
      doubt_ = Doubt::kNone;
      return;
  }
}

void Peer::ask() {
  ++round_;
  for (std::size_t rail = 0; rail < rails(); ++rail)
    if (ways_[rail].up) watches_[rail].due = round_;
}

void Peer::judge() {
  for (std::size_t index = 0; index < rails(); ++index) {
    const auto rail = static_cast<Rail>(index);
    if (!ways_[rail].up || watches_[rail].answered >= first_round_) continue;
    const bool trusted = ways_[rail].wanted < asked_at_ ||
                         std::any_of(outs_.begin(), outs_.end(),
                                     [&](const OutLane& out) { return out.trusts(rail, asked_at_); });
    if (!trusted) continue;
    watches_[rail].lost_in = first_round_;
    lose(rail, "nothing that was sent over it for half a second has come, while others work");
  }
}

void Peer::break_off(Rail rail, std::string_view why) {
  watches_[rail].broken = true;
  watches_[rail].due = watches_[rail].answer = 0;
  lose(rail, why);
  // Silence alone is no reason against the last that is left.
  for (std::size_t index = 0; index < rails() && !reached_by_any(); ++index) {
    if (!watches_[index].broken) take_up(static_cast<Rail>(index));
  }
}

void Peer::lose(Rail rail, std::string_view why) {
  if (!ways_[rail].up) return;
  quiet_ = false;
  ways_[rail].up = false;
  ways_[rail].wanted = kNever;
  std::uint32_t orphans = 0;
  for (OutLane& out : outs_) orphans += out.orphan(rail);
  orphans_ = true;
  must_report_ = talked_;
  common_.rail_lost(rail, rank_, why, orphans);
}

bool Peer::reached_by_any() const {
  return std::any_of(ways_.begin(), ways_.end(), [](const Way& way) { return way.up; });
}

bool Peer::speak() {
  bool any = false;
  for (std::size_t index = 0; index < rails(); ++index) {
    const auto rail = static_cast<Rail>(index);
    Watch& watch = watches_[rail];
    if (!ways_[rail].endpoint || (watch.due == 0 && watch.answer == 0)) continue;
    if (watch.due != 0)
      if (std::byte* const slot = own_slot(rail)) {
        send_own(rail, write(slot, Ask{watch.due}), Kind::kAsk);
        watch.due = 0;
        any = true;
      }
    if (watch.answer != 0 && report(rail, watch.answer)) {
      watch.answer = 0;
      any = true;
    }
  }
  if (orphans_) any = send_again() || any;
  if (last_word_) {
    take_everything();
    last_word_ = !report_by_any();
    return !last_word_ || any;
  }
  return (report_due() && report_by_any()) || any;
}

bool Peer::report_due() {
  if (parted_ || gone_) return false;
  if (must_report_ || parting_) return true;
  bool owes = false, low = false;
  for (const InLane& in : ins_) {
    owes = owes || in.owes();
    low = low || in.runs_low();
  }
  low_passes_ = low ? low_passes_ + 1 : 0;
  if (!owes)
    owes_since_ = kNever;
  else if (owes_since_ == kNever)
    owes_since_ = common_.now;
  return low_passes_ >= kLowPasses || (owes && common_.now - owes_since_ > kReportAfter);
}

// False if there is no room for it now.
bool Peer::report(Rail rail, std::uint64_t round) {
  std::byte* const slot = own_slot(rail);
  if (slot == nullptr) return false;
  if (round != 0) take_everything();
  Report report{round, parting_, gone_, common_.lanes, {}};
  for (std::uint16_t lane = 0; lane < common_.lanes; ++lane) report.counts[lane] = ins_[lane].counts();
  send_own(rail, write(slot, report), Kind::kReport);
  // What goes by a rail that is lost may never come.
  if (!ways_[rail].up) return true;
  for (std::uint16_t lane = 0; lane < common_.lanes; ++lane) ins_[lane].told(report.counts[lane]);
  owes_since_ = kNever;
  low_passes_ = 0;
  return true;
}

bool Peer::report_by_any() {
  for (std::size_t turn = 0; turn < rails(); ++turn) {
    const auto rail = static_cast<Rail>((common_.nearest + turn) % rails());
    if (!ways_[rail].up || !report(rail, 0)) continue;
    must_report_ = false;
    parted_ = parting_;
    return true;
  }
  return false;
}

bool Peer::send_again() {
  std::uint32_t sent = 0;
  const auto post = [&](BytesView payload, const Again& again) {
    rank_rails();
    for (std::size_t place = 0; place < candidates_; ++place) {
      std::byte* const slot = own_slot(order_[place]);
      if (slot == nullptr) continue;
      if (!payload.empty()) std::memcpy(slot, payload.data(), payload.size());
      send_own(order_[place], write(slot, again), Kind::kPiece);
      ++sent;
      return order_[place];
    }
    return kNoRail;
  };
  orphans_ = false;
  for (OutLane& out : outs_) orphans_ = !out.send_again(post, common_.now) || orphans_;
  if (sent > 0) {
    common_.counts.resent += sent;
    if (common_.changed) common_.changed(common_.counts);
  }
  return sent > 0;
}

bool Peer::idle() const {
  if (!talked_ || gone_) return !last_word_;
  for (std::uint16_t lane = 0; lane < common_.lanes; ++lane)
    if (!outs_[lane].all_arrived() || ins_[lane].owes()) return false;
  return !must_report_ &&
         std::none_of(watches_.begin(), watches_.end(), [](const Watch& watch) { return watch.answer != 0; });
}

bool Peer::farewell() {
  if (!talked_ || !reached_by_any()) return true;
  parting_ = true;
  quiet_ = false;
  return gone_ ? !last_word_ : parted_ && heard_ && !owed();
}

bool Peer::owed() const {
  const auto arrived = [](const OutLane& out) { return out.all_arrived(); };
  return talked_ && !gone_ && !std::all_of(outs_.begin(), outs_.end(), arrived);
}

}  // namespace hansa::rails
