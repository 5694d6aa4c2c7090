#include "transports/rails/lanes.hpp"

#include <algorithm>
#include <cstring>

namespace hansa::rails {
namespace {

// How far a count has gone on, by its low word: nothing for an old one, which another rail has overtaken.
std::uint64_t further(std::uint64_t known, std::uint32_t heard) {
  const auto more = static_cast<std::int32_t>(heard - static_cast<std::uint32_t>(known));
  return known + static_cast<std::uint64_t>(std::max(more, 0));
}

void begin(Clock::time_point& since) {
  if (since == kNever) since = Clock::now();
}

}  // namespace

std::byte* OutLane::reserve(std::uint32_t ahead, const Deal& deal) {
  while (assigned_ <= next_ + ahead)
    if (!assign(deal)) return nullptr;
  return piece(next_ + ahead).data;
}

bool OutLane::assign(const Deal& deal) {
  if (assigned_ - released_ >= pieces_.size()) {
    begin(full_since_);
    return false;
  }
  for (std::size_t attempt = 0;; ++attempt) {
    const Rail rail = deal(attempt);
    if (rail == kNoRail) return false;
    Way& way = ways_[rail];
    std::byte* const slot = way.endpoint->reserve(lane_, held_[rail]);
    if (slot == nullptr) {
      begin(way.wanted);
      continue;
    }
    way.wanted = kNever;
    ++held_[rail];
    ++way.in_flight;
    piece(assigned_++) = {.data = slot, .ring = rail, .carrier = rail};
    return true;
  }
}

// Also where the rail has died: the ring's slots go in order, and what it delivers after all does no harm.
bool OutLane::commit(std::uint32_t bytes, std::uint32_t stamp, const Counts& counts, Clock::time_point now) {
  Piece& one = piece(next_);
  one.bytes = bytes;
  one.stamp = stamp;
  one.at = now;
  const std::uint32_t length = seal(one.data, {.number = next_, .bytes = bytes, .counts = counts});
  ways_[one.ring].endpoint->commit(lane_, length, stamp);
  --held_[one.ring];
  ++next_;
  return one.carrier == kNoRail;
}

bool OutLane::hear(const Counts& counts) {
  const std::uint64_t arrived = further(arrived_, counts.arrived),
                      released = further(released_, counts.released);
  if (arrived > next_ || released > arrived) return false;
  for (; arrived_ < arrived; ++arrived_)
    if (const Rail carrier = piece(arrived_).carrier; carrier != kNoRail) --ways_[carrier].in_flight;
  if (released > released_) full_since_ = kNever;
  released_ = released;
  return true;
}

Clock::time_point OutLane::waits_since() const {
  return all_arrived() ? full_since_ : std::min(full_since_, piece(arrived_).at);
}

bool OutLane::trusts(Rail rail, Clock::time_point before) const {
  for (std::uint64_t number = arrived_; number < next_; ++number)
    if (piece(number).carrier == rail && piece(number).at < before) return true;
  return false;
}

std::uint32_t OutLane::orphan(Rail rail) {
  std::uint32_t orphans = 0;
  for (std::uint64_t number = arrived_; number < assigned_; ++number) {
    if (piece(number).carrier != rail) continue;
    piece(number).carrier = kNoRail;
    --ways_[rail].in_flight;
    if (number < next_) ++orphans;
  }
  return orphans;
}

bool OutLane::send_again(const Post& post, Clock::time_point now) {
  for (std::uint64_t number = arrived_; number < next_; ++number) {
    Piece& one = piece(number);
    if (one.carrier != kNoRail) continue;
    const Again again{{.number = number, .bytes = one.bytes, .counts = {}}, one.stamp, lane_};
    one.carrier = post({one.data, one.bytes}, again);
    if (one.carrier == kNoRail) return false;
    ++ways_[one.carrier].in_flight;
    one.at = now;
  }
  return true;
}

Arrival InLane::peek(std::uint32_t ahead) const {
  if (released_ + ahead >= arrived_) return {};
  const Entry& one = entry(released_ + ahead);
  return {one.data, one.bytes, one.stamp};
}

void InLane::release() {
  entry(released_).data = nullptr;
  ++released_;
  for (std::size_t rail = 0; rail < rings_.size(); ++rail) settle(static_cast<Rail>(rail));
}

// Gives slots back to a rail, in its order, as far as their pieces are done with.
void InLane::settle(Rail rail) {
  Ring& ring = rings_[rail];
  for (; ring.count > 0 && (ring.at(0) == kSeen || ring.at(0) < released_); --ring.count) {
    ring.first = (ring.first + 1) % static_cast<std::uint32_t>(ring.numbers.size());
    ways_[rail].endpoint->release(lane_);
  }
}

void InLane::count_arrived() {
  while (arrived_ < released_ + window_.size() && entry(arrived_).data != nullptr) ++arrived_;
}

bool InLane::take(Rail rail, const std::function<bool(const Counts&)>& heard) {
  Ring& ring = rings_[rail];
  while (ring.count < ring.numbers.size()) {
    const Arrival arrival = ways_[rail].endpoint->peek(lane_, ring.count);
    if (arrival.data == nullptr) break;
    const auto trailer = unseal({arrival.data, arrival.bytes}, most_);
    if (!trailer || !possible(trailer->number) || !heard(trailer->counts)) return false;
    const bool fresh = !seen(trailer->number);
    ring.at(ring.count++) = fresh ? trailer->number : kSeen;
    if (fresh) {
      Entry& one = entry(trailer->number);
      one.data = arrival.data;
      one.bytes = trailer->bytes;
      one.stamp = arrival.stamp;
      newest_ = std::max(newest_, trailer->number + 1);
    }
    settle(rail);
  }
  count_arrived();
  return true;
}

bool InLane::take_again(BytesView payload, const Again& again) {
  const std::uint64_t number = again.piece.number;
  if (!possible(number)) return false;
  if (seen(number)) return true;
  Entry& one = entry(number);
  one.kept.assign(payload.begin(), payload.end());
  one.kept.resize(std::max<std::size_t>(payload.size(), 1));
  one.data = one.kept.data();
  one.bytes = again.piece.bytes;
  one.stamp = again.stamp;
  newest_ = std::max(newest_, number + 1);
  count_arrived();
  return true;
}

bool InLane::runs_low() const {
  const auto slots = static_cast<std::uint32_t>(window_.size());
  const std::uint32_t ours = static_cast<std::uint32_t>(released_);
  return ours != told_.released &&
         (told_.released + slots - static_cast<std::uint32_t>(newest_)) * 2 <= slots;
}

}  // namespace hansa::rails
