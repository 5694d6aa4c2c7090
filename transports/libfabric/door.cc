#include "transports/libfabric/door.hpp"

#include <algorithm>
#include <utility>

#include "transports/libfabric/peer.hpp"
#include "transports/libfabric/port.hpp"

namespace hansa::libfabric {
namespace {

// Under number 0, which no transport has.
constexpr std::uint16_t kRingLane = 14, kAnswerLane = 15;

// Whom a ring is for, in a stamp.
std::uint32_t name_of(const PeerKey& key) { return key.number | std::uint32_t{key.sender} << 16; }

constexpr std::uint32_t kNobody = 0;  // stamp of an answer: whom the ring is for has gone

}  // namespace

Door::Door(Port& port, fi_addr_t address, std::uint64_t generation, std::uint64_t to_us,
           std::uint64_t from_us)
    : Poster(std::make_shared<Shared>()),
      port_(port),
      address_(address),
      generation_(generation),
      to_us_(to_us),
      from_us_(from_us) {}

// In the sender's place what the two ports have in common, so that receives for a port that is gone do not
// take the rings of the one that has its address now.
std::uint64_t Door::tag(std::uint16_t lane, std::uint32_t sequence) const {
  const auto pair = static_cast<std::uint8_t>(generation_ ^ port_.generation());
  return MessageId{0, pair, static_cast<std::uint8_t>(lane), sequence}.tag();
}

Status Door::open() {
  HANSA_RETURN_IF_ERROR(allocate(port_.registry(), 4 * Slots::stride(0)));
  std::byte* at = memory();
  for (const auto& [slot, purpose] : {std::pair(&ring_in_, Purpose::kReceive),
                                      {&ring_out_, Purpose::kSend},
                                      {&answer_in_, Purpose::kCreditReceive},
                                      {&answer_out_, Purpose::kCreditSend}}) {
    Operation kind;
    kind.poster = this;
    kind.purpose = purpose;
    *slot = Slots(at, 0, 1, kind);
    at += Slots::stride(0);
  }
  post_ring_receive();
  return broken_;
}

void Door::ring_for(Peer& peer) {
  if (!broken_.ok()) return peer.give_up(broken_.code(), broken_.message());
  queue_.push_back(&peer);
}

void Door::forget(const Peer& peer) {
  std::erase(queue_, &peer);
  if (rung_for_ == &peer) rung_for_ = nullptr;
}

Peer* Door::asked_peer() const {
  return port_.find(
      {static_cast<std::uint16_t>(asked_for_), static_cast<std::uint8_t>(asked_for_ >> 16), address_});
}

bool Door::send(Slots& slot, std::uint16_t lane, std::uint32_t& number, std::uint32_t stamp) {
  Operation& operation = slot.operation(0);
  slot.header(0) = {stamp, 0};
  const ssize_t result =
      port_.fabric().send(slot.message(0, 0), region(), address_, tag(lane, number) | from_us_, &operation);
  if (result == -FI_EAGAIN) {
    retry_.refused();
  } else if (result != 0) {
    const int error = static_cast<int>(-result);
    give_up(is_remote(error) ? Code::kRemote : Code::kSystem, port_.fabric().text(error));
  } else {
    retry_.taken();
    operation.busy = true;
    ++shared_->in_flight;
    ++number;
  }
  return result == 0;
}

bool Door::receive(Slots& slot, std::uint16_t lane, std::uint32_t number) {
  Operation& operation = slot.operation(0);
  const ssize_t result =
      port_.fabric().receive(slot.room(0), region(), address_, tag(lane, number) | to_us_, &operation);
  if (result == -FI_EAGAIN) {
    retry_.refused();
  } else if (result != 0) {
    give_up(Code::kSystem, port_.fabric().text(static_cast<int>(-result)));
  } else {
    retry_.taken();
    operation.busy = true;
  }
  return result == 0;
}

bool Door::post_ring_receive() {
  return !ring_in_.operation(0).busy && receive(ring_in_, kRingLane, rings_come_);
}

// The next ring may come as soon as this one is answered, so its receive goes first.
bool Door::answer() {
  if (!asked_ || !ring_in_.operation(0).busy || answer_out_.operation(0).busy) return false;
  Peer* const peer = asked_peer();
  const bool there = peer != nullptr && peer->called();
  if (there && !peer->stands()) return false;
  if (!send(answer_out_, kAnswerLane, answers_sent_, there ? asked_for_ : kNobody)) return false;
  if (there) peer->announced();
  asked_ = false;
  return true;
}

bool Door::ring() {
  while (!queue_.empty() && queue_.front()->is_announced()) queue_.pop_front();  // by an answer
  if (rung_ || queue_.empty() || ring_out_.operation(0).busy) return false;
  if (!answer_in_.operation(0).busy && !receive(answer_in_, kAnswerLane, answers_come_)) return false;
  Peer* const peer = queue_.front();
  if (!send(ring_out_, kRingLane, rings_sent_, name_of(peer->theirs()))) return false;
  queue_.pop_front();
  rung_ = true;
  rung_for_ = peer;
  peer->announced();
  return true;
}

bool Door::pending() const {
  return broken_.ok() && !withdrawing_ &&
         (asked_ || !ring_in_.operation(0).busy || (!queue_.empty() && !rung_));
}

bool Door::advance() {
  if (!retry_.due()) return false;
  bool any = false;
  for (const auto step : {&Door::post_ring_receive, &Door::answer, &Door::ring}) {
    if (!pending() || retry_.stalled()) break;
    any = (this->*step)() || any;
  }
  return any;
}

void Door::completed(Operation& operation, std::size_t message_bytes) {
  operation.busy = false;
  if (operation.purpose == Purpose::kSend || operation.purpose == Purpose::kCreditSend) {
    --shared_->in_flight;
    return;
  }
  if (message_bytes != sizeof(Header)) return give_up(Code::kInternal, "a ring of another length has come");
  if (operation.purpose == Purpose::kReceive) {
    ++rings_come_;
    asked_ = true;
    asked_for_ = ring_in_.header(0).stamp;
    return;
  }
  ++answers_come_;
  rung_ = false;
  Peer* const peer = std::exchange(rung_for_, nullptr);
  if (peer != nullptr && answer_in_.header(0).stamp != kNobody) {
    (void)peer->called();
    port_.enlist(*peer);
  }
}

void Door::failed(Operation& operation, const fi_cq_err_entry& entry) {
  operation.busy = false;
  if (operation.purpose == Purpose::kSend || operation.purpose == Purpose::kCreditSend) --shared_->in_flight;
  if (!withdrawing_)
    give_up(is_remote(entry.err) ? Code::kRemote : Code::kInternal, port_.fabric().text(entry));
}

void Door::give_up(Code code, std::string text) {
  if (!broken_.ok()) return;
  broken_ = Status(code, text);
  if (asked_)
    if (Peer* const peer = asked_peer()) peer->give_up(code, text);
  if (rung_for_ != nullptr) rung_for_->give_up(code, text);
  for (Peer* const peer : queue_) peer->give_up(code, text);
  queue_.clear();
  rung_for_ = nullptr;
  asked_ = false;
}

void Door::withdraw() {
  withdrawing_ = true;
  for (Slots* slot : {&ring_in_, &answer_in_})
    if (slot->count() > 0 && slot->operation(0).busy) port_.fabric().cancel(&slot->operation(0));
}

bool Door::withdrawn() const {
  return ring_in_.idle() && answer_in_.idle() && ring_out_.idle() && answer_out_.idle();
}

}  // namespace hansa::libfabric
