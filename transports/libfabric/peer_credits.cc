// A peer's credits, the last word, and the search for messages that were lost.
//
// Connections of some providers break without a word and are made anew (hides_breaks()). Messages between two
// keep their order there, so one that comes early tells of a loss, and so does a credit message that counts
// more than has come. Where nothing follows, one is asked for; and a peer that goes on asking and does not
// answer gets nothing of what is sent to it.
#include <algorithm>
#include <cstring>
#include <utility>

#include "transports/libfabric/peer.hpp"

namespace hansa::libfabric {
namespace {

// Stamps of a credit message, as bits: it is the sender's last word; it wants an answer.
constexpr std::uint32_t kFarewell = 1, kAsks = 2;
// Polls for which credit waits for data to ride on, unless half a ring is owed.
constexpr std::uint32_t kCreditPatience = 4;
// Looks in a row that find new questions of a peer and no answer to ours. After an outage of both directions
// TCP revives one sooner than the other, but by less than the outage took, in which part of the peer's
// Channels::asks questions have gone: of ten, at most five are left for looks of their own.
constexpr std::uint32_t kDeafLooks = 7;

// The words of a credit message, one by one.
class Words {
 public:
  explicit Words(std::byte* at) : at_(at) {}
  void put(std::uint32_t word) {
    std::memcpy(at_, &word, sizeof word);
    at_ += sizeof word;
  }
  std::uint32_t take() {
    std::uint32_t word;
    std::memcpy(&word, at_, sizeof word);
    at_ += sizeof word;
    return word;
  }

 private:
  std::byte* at_;
};

}  // namespace

bool Peer::owes_credit() const {
  if (unreachable_ || broken_ || parted_ || withdrawing_ || !met()) return false;
  if (parting_ || asking_ || answered_ != asks_heard_) return true;
  if (std::any_of(freight_.begin(), freight_.end(),
                  [](const FreightLane& lane) { return lane.told != lane.landings_posted; }))
    return true;
  // A peer that has said its farewell waits for all of it, any other for none that it does not need.
  return std::any_of(receives_.begin(), receives_.end() - 1,
                     [this](const ReceiveRing& ring) { return gone_ ? ring.owed() > 0 : ring.runs_low(); });
}

bool Peer::credit_due() {
  if (!owes_credit()) {
    patience_ = 0;
    return false;
  }
  // Who has a place for a message is waited for.
  for (const FreightLane& lane : freight_)
    if (lane.told != lane.landings_posted) return true;
  std::uint32_t most = 0;
  for (std::size_t lane = 0; lane < sends_.size(); ++lane) most = std::max(most, receives_[lane].owed());
  return parting_ || asking_ || answered_ != asks_heard_ || most * 2 >= setup_.channels.shape.count ||
         ++patience_ >= kCreditPatience;
}

// All lanes' limits in one message, and one such message at a time: what is owed meanwhile gathers.
bool Peer::post_credit() {
  SendRing& ring = credit_;
  Operation& operation = ring.slots.operation(0);
  if (operation.busy || !may_post() || !credit_due()) return false;
  ring.slots.header(0).stamp = (parting_ ? kFarewell : 0) | (asking_ ? kAsks : 0);
  Words words(ring.slots.data(0));
  words.put(asks_heard_);
  for (std::size_t lane = 0; lane < sends_.size(); ++lane) {
    words.put(receives_[lane].posted);
    words.put(sends_[lane].posted);
  }
  for (const FreightLane& lane : freight_) {
    words.put(lane.landings_posted);
    words.put(lane.launches_posted);
  }
  const Bytes message = ring.slots.message(0, credit_bytes());
  if (!accepted(fabric().send(message, region(), setup_.theirs.address,
                              tag(setup_.theirs, setup_.self, kCreditLane, ring.posted), &operation))) {
    // The farewell came over a connection; where it is no more, nobody waits for credit.
    unreachable_ = gone_;
    return false;
  }
  operation.busy = true;
  ++shared_->in_flight;
  ++ring.posted;
  for (std::size_t lane = 0; lane < sends_.size(); ++lane) receives_[lane].told = receives_[lane].posted;
  for (FreightLane& lane : freight_) lane.told = lane.landings_posted;
  patience_ = 0;
  parted_ = parting_;
  answered_ = asks_heard_;
  if (asking_) ++asked_;
  asking_ = false;
  return true;
}

// A question alone is no sign that what is sent the other way arrives, nor that the peer has anything to say.
void Peer::take_credits(std::uint32_t newest) {
  const bool in_order = hides_breaks(fabric().info());
  ReceiveRing& ring = receives_.back();
  gone_ = gone_ || (newest & kFarewell) != 0;
  heard_ = heard_ || (newest & kAsks) == 0;
  for (; ring.slots.operation(ring.released).arrived; ++ring.released) {
    ring.slots.operation(ring.released).arrived = false;
    if ((ring.slots.header(ring.released).stamp & kAsks) != 0) ++asks_heard_;
    Words words(ring.slots.data(ring.released));
    if (const std::uint32_t answers = words.take(); answers != asks_answered_) {
      asks_answered_ = answers;
      deaf_looks_ = 0;
      heard_ = true;
    }
    bool complete = true;
    for (std::size_t lane = 0; lane < sends_.size(); ++lane) {
      raise_limit(static_cast<std::uint16_t>(lane), words.take());
      complete = words.take() == receives_[lane].arrived && complete;
    }
    for (FreightLane& lane : freight_) {
      raise_freight_limit(lane, words.take());
      complete = words.take() == lane.arrived && complete;
    }
    if (in_order && !complete) lost();
  }
  post_receives(ring);
  if (standing_ && gone_) withdraw();
}

void Peer::raise_limit(std::uint16_t lane, std::uint32_t limit) {
  SendRing& ring = sends_[lane];
  // Credits overtake each other where they ride on data; the highest holds.
  if (static_cast<std::int32_t>(limit - ring.limit) <= 0) return;
  if (limit - ring.posted > ring.slots.count())
    return give_up(Code::kInternal, "credit for what was never sent has come");
  ring.limit = limit;
}

void Peer::look_for_losses() {
  const bool silent = !heard_;
  const bool questioned = std::exchange(asks_seen_, asks_heard_) != asks_heard_;
  heard_ = false;
  if (!met() || gone_ || closed_) return;
  const bool unanswered = asking_ || asked_ != asks_answered_;
  deaf_looks_ = unanswered ? deaf_looks_ + (questioned ? 1 : 0) : 0;
  if (deaf_looks_ >= kDeafLooks) return lost();
  if (!silent || asked_ - asks_answered_ >= setup_.channels.asks) return;
  asking_ = true;
  port_.enlist(*this);
}

void Peer::lost() {
  give_up(Code::kRemote, "messages were lost, or do not arrive any more, as after a connection has broken");
}

}  // namespace hansa::libfabric
