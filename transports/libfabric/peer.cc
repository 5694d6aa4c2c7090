#include "transports/libfabric/peer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <new>

namespace hansa::libfabric {
namespace {

// Room for a credit message of all lanes.
constexpr std::size_t kCreditBytes = sizeof(std::uint32_t) * (1 + 2 * (kMostLanes + kFreightLanes));
// A receive needs nobody else. Who is refused one so often (ten seconds of polling) never gets it.
constexpr std::uint32_t kMostRefusals = 10'000;

}  // namespace

bool Peer::is_send(const Operation& operation) {
  return operation.purpose == Purpose::kSend || operation.purpose == Purpose::kCreditSend ||
         operation.purpose == Purpose::kLaunch;
}

// At the first message to the peer, or the first sign of life from it.
void Peer::open() {
  if (is_open() || broken_) return;
  try {
    if (const Status made = make_slots(); !made.ok()) return give_up(made.code(), made.message());
  } catch (const std::bad_alloc&) {
    return give_up(Code::kSystem, "out of memory");
  }
  port_.enlist(*this);
}

bool Peer::called() {
  if (closed_ || broken_ || withdrawing_) return false;
  open();
  called_ = true;
  return !broken_;
}

Status Peer::make_slots() {
  const auto& [lanes, shape, freight_lanes, asks] = setup_.channels;
  const std::uint32_t count = shape.count, window = setup_.channels.credits(),
                      credits = std::bit_ceil(window);
  const std::size_t lane_bytes = count * Slots::stride(shape.bytes), credit = Slots::stride(kCreditBytes);
  HANSA_RETURN_IF_ERROR(allocate(port_.registry(), 2 * lanes * lane_bytes + (credits + 1) * credit));
  std::byte* at = memory();
  const auto slots = [&](Purpose purpose, std::uint16_t lane, std::size_t payload, std::uint32_t number) {
    Operation kind;
    kind.poster = this;
    kind.purpose = purpose;
    kind.lane = lane;
    Slots made(at, payload, number, kind);
    at += number * Slots::stride(payload);
    return made;
  };
  for (std::uint16_t lane = 0; lane < lanes; ++lane) {
    sends_.push_back({slots(Purpose::kSend, lane, shape.bytes, count)});
    sends_.back().limit = count;
    receives_.push_back({slots(Purpose::kReceive, lane, shape.bytes, count), count});
  }
  freight_.reserve(freight_lanes);
  for (std::uint16_t lane = 0; lane < freight_lanes; ++lane) freight_.emplace_back(this, lane);
  receives_.push_back({slots(Purpose::kCreditReceive, kCreditLane, kCreditBytes, credits), window});
  credit_.slots = slots(Purpose::kCreditSend, kCreditLane, kCreditBytes, 1);
  return {};
}

// Where the provider cannot tell ports apart, the tag names the sender, above the 40 bits of the message's
// name.
std::uint64_t Peer::tag(const PeerKey& key, Rank sender, std::uint16_t lane, std::uint32_t sequence) const {
  const MessageId id{key.number, key.sender, static_cast<std::uint8_t>(lane), sequence};
  return id.tag() | (port_.fabric().directed() ? 0 : sender_bits(sender));
}

std::byte* Peer::reserve(std::uint16_t lane, std::uint32_t ahead) {
  if (!met()) {
    open();
    return nullptr;
  }
  SendRing& ring = sends_[lane];
  const std::uint32_t number = ring.committed + ahead;
  const bool room = static_cast<std::int32_t>(ring.limit - number) > 0 && !ring.slots.operation(number).busy;
  return room && !broken_ && !closed_ ? ring.slots.data(number) : nullptr;
}

void Peer::commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) {
  SendRing& ring = sends_[lane];
  Operation& operation = ring.slots.operation(ring.committed);
  operation.busy = true;
  operation.bytes = bytes;
  ring.slots.header(ring.committed).stamp = stamp;
  ++ring.committed;
  talked_ = true;
  post_sends(lane);
}

Arrival Peer::peek(std::uint16_t lane, std::uint32_t ahead) {
  if (!is_open()) return {};
  ReceiveRing& ring = receives_[lane];
  const std::uint32_t number = ring.released + ahead;
  const Operation& operation = ring.slots.operation(number);
  if (!operation.arrived || closed_) return {};
  return {ring.slots.data(number), operation.bytes, ring.slots.header(number).stamp};
}

void Peer::release(std::uint16_t lane) {
  ReceiveRing& ring = receives_[lane];
  ring.slots.operation(ring.released).arrived = false;
  ++ring.released;
  post_receives(ring);
}

// Whether the provider took a post. Order holds since nothing is posted past a refused one.
bool Peer::accepted(ssize_t result) {
  if (result == 0) {
    retry_.taken();
    return true;
  }
  if (result == -FI_EAGAIN) {
    retry_.refused();
  } else {
    const int error = static_cast<int>(-result);
    give_up(is_remote(error) ? Code::kRemote : Code::kSystem, fabric().text(error));
  }
  return false;
}

bool Peer::post_sends(std::uint16_t lane) {
  SendRing& ring = sends_[lane];
  ReceiveRing& back = receives_[lane];
  const std::uint32_t before = ring.posted;
  while (ring.posted != ring.committed && met() && may_post() && takes_credits() && !gone_) {
    Operation& operation = ring.slots.operation(ring.posted);
    ring.slots.header(ring.posted).limit = back.posted;
    const Bytes message = ring.slots.message(ring.posted, operation.bytes);
    if (!accepted(fabric().send(message, region(), setup_.theirs.address,
                                tag(setup_.theirs, setup_.self, lane, ring.posted), &operation)))
      break;
    ++shared_->in_flight;
    back.told = back.posted;
    ++ring.posted;
  }
  return ring.posted != before;
}

bool Peer::post_receives(ReceiveRing& ring) {
  const std::uint32_t before = ring.posted;
  while (!ring.complete() && may_post()) {
    Operation& operation = ring.slots.operation(ring.posted);
    if (!accepted(fabric().receive(ring.slots.room(ring.posted), region(), setup_.theirs.address,
                                   tag(setup_.ours, setup_.rank, operation.lane, ring.posted), &operation))) {
      count_refusal();
      break;
    }
    refusals_ = 0;
    operation.busy = true;
    ++ring.posted;
  }
  return ring.posted != before;
}

void Peer::count_refusal() {
  if (retry_.stalled() && ++refusals_ > kMostRefusals)
    give_up(Code::kSystem, "the provider takes no receive any more; its queues are too short or stuck");
}

void Peer::completed(Operation& operation, std::size_t message_bytes) {
  operation.busy = false;
  if (is_send(operation)) {
    --shared_->in_flight;
    if (operation.purpose == Purpose::kLaunch) end(static_cast<Voyage&>(operation), Completion::State::kDone);
    return;
  }
  if (operation.purpose == Purpose::kLanding) return landed(static_cast<Voyage&>(operation), message_bytes);
  talked_ = true;
  const bool credit = operation.purpose == Purpose::kCreditReceive;
  const std::size_t least = sizeof(Header) + (credit ? credit_bytes() : 0);
  if (message_bytes < least) return give_up(Code::kInternal, "a message shorter than its header has come");
  operation.bytes = static_cast<std::uint32_t>(message_bytes - sizeof(Header));
  operation.arrived = true;
  ReceiveRing& ring = credit ? receives_.back() : receives_[operation.lane];
  const std::uint32_t place = ring.slots.number_of(operation);
  if (place != ring.arrived++ % ring.slots.count() && hides_breaks(fabric().info())) lost();
  if (credit) return take_credits(ring.slots.header(place).stamp);
  heard_ = true;
  raise_limit(operation.lane, ring.slots.header(place).limit);
}

void Peer::failed(Operation& operation, const fi_cq_err_entry& entry) {
  operation.busy = false;
  if (is_send(operation)) --shared_->in_flight;
  const bool freight = operation.purpose == Purpose::kLaunch || operation.purpose == Purpose::kLanding;
  const bool credit = operation.purpose == Purpose::kCreditSend;
  const bool told_otherwise = gone_ || withdrawing_ || (freight && closed_) || (credit && parting_) ||
                              (operation.purpose == Purpose::kLanding && entry.err == FI_ETRUNC);  // landed()
  if (credit) unreachable_ = true;
  if (freight) {
    auto& voyage = static_cast<Voyage&>(operation);
    if (entry.err == FI_ETRUNC) ++freight_[voyage.lane].arrived;
    port_.registry().give_back(voyage.berth);
    if (told_otherwise) voyage.finish(Completion::State::kFailed);
    if (entry.err == FI_ECANCELED && operation.purpose == Purpose::kLanding && closed_) stand_in(voyage);
  }
  if (told_otherwise) return;
  // So end those that were in a connection when it broke.
  if (hides_breaks(fabric().info()) && (credit || entry.err == FI_ECANCELED)) return lost();
  // Credit that comes too late for a peer that has left is no failure of ours.
  if (credit) return;
  give_up(is_remote(entry.err) ? Code::kRemote : Code::kInternal, fabric().text(entry));
}

void Peer::give_up(Code code, std::string_view text) {
  broken_ = true;
  if (shared_->status.ok())
    shared_->status = Status(code, fmt::format("libfabric, {}: {}", setup_.name, text));
}

bool Peer::pending() const {
  if (broken_ || withdrawing_ || !is_open()) return false;
  const auto waits_to_send = [this](const SendRing& ring) { return ring.posted != ring.committed && !gone_; };
  return !announced_ || owes_credit() ||
         std::any_of(freight_.begin(), freight_.end(),
                     [](const FreightLane& lane) { return lane.waits(); }) ||
         std::any_of(sends_.begin(), sends_.end(), waits_to_send) ||
         !std::all_of(receives_.begin(), receives_.end(),
                      [](const ReceiveRing& ring) { return ring.complete(); });
}

bool Peer::advance() {
  if (!is_open() || !retry_.due()) return false;
  bool any = false;
  for (ReceiveRing& ring : receives_) any = post_receives(ring) || any;
  if (!started_) start();
  for (FreightLane& lane : freight_) any = post_landings(lane) || any;
  for (std::uint16_t lane = 0; lane < setup_.channels.lanes; ++lane) any = post_sends(lane) || any;
  for (FreightLane& lane : freight_) any = post_launches(lane) || any;
  return post_credit() || any;
}

// Once all receives stand. Who has called has its answer from the door.
void Peer::start() {
  if (!std::all_of(receives_.begin(), receives_.end(),
                   [](const ReceiveRing& ring) { return ring.complete(); }))
    return;
  for (ReceiveRing& ring : receives_) ring.told = ring.posted;
  started_ = true;
  if (called_) return;
  door_.ring_for(*this);
  port_.enlist(door_);
}

bool Peer::farewell() {
  if ((!talked_ && !met()) || broken_) return true;
  parting_ = true;
  const bool told = unreachable_ || (parted_ && !credit_.slots.operation(0).busy);
  const auto received = [](const SendRing& ring) {
    return ring.limit == ring.committed + ring.slots.count();
  };
  return told && (gone_ || std::all_of(sends_.begin(), sends_.end(), received));
}

bool Peer::leave() {
  withdrawing_ = true;
  standing_ = announced_ && !gone_ && hides_breaks(fabric().info());
  if (!standing_) cancel_receives();
  call_off();
  return standing_;
}

void Peer::withdraw() {
  withdrawing_ = true;
  standing_ = false;
  cancel_receives();
  call_off();
}

void Peer::cancel_receives() {
  for (ReceiveRing& ring : receives_) {
    for (std::uint32_t number = 0; number < ring.slots.count(); ++number) {
      if (ring.slots.operation(number).busy) fabric().cancel(&ring.slots.operation(number));
    }
  }
  for (FreightLane& lane : freight_)
    for (Voyage& voyage : lane.landings)
      if (voyage.busy) fabric().cancel(static_cast<Operation*>(&voyage));
}

bool Peer::withdrawn() const {
  const auto idle = [](const auto& ring) { return ring.slots.idle(); };
  const auto sent = [](const SendRing& ring) {  // by the provider: what only waits is dropped
    for (std::uint32_t number = ring.committed - ring.slots.count(); number != ring.posted; ++number)
      if (ring.slots.operation(number).busy) return false;
    return true;
  };
  return std::all_of(receives_.begin(), receives_.end(), idle) &&
         std::all_of(sends_.begin(), sends_.end(), sent) && idle(credit_) &&
         std::none_of(freight_.begin(), freight_.end(), [](const FreightLane& lane) {
           return FreightLane::any_busy(lane.landings) || FreightLane::any_busy(lane.launches);
         });
}

}  // namespace hansa::libfabric
