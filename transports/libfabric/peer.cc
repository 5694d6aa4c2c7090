#include "transports/libfabric/peer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace hansa::libfabric {
namespace {

using namespace std::chrono_literals;

// Stamp of a credit message: whether it is the sender's last word.
constexpr std::uint32_t kFarewell = 1;
// Room for the limits of all lanes.
constexpr std::size_t kCreditBytes = kMostLanes * sizeof(std::uint32_t);
// Polls for which credit waits for data to ride on, unless half a ring is owed.
constexpr std::uint32_t kCreditPatience = 4;
// A refused post is retried after this long, then ever more seldom: while a connection comes up, each try
// costs system calls.
constexpr auto kFirstRetry = 1us;
constexpr auto kSlowestRetry = 1000us;
// A receive needs nobody else. Who is refused one so often (ten seconds of polling) never gets it.
constexpr std::uint32_t kMostRefusals = 10'000;

// Errors that say that the other side or the way to it is gone.
bool is_remote(int error) {
  return error == FI_ECONNRESET || error == FI_ECONNREFUSED || error == FI_ECONNABORTED ||
         error == FI_ENOTCONN || error == FI_EHOSTUNREACH || error == FI_ENETUNREACH ||
         error == FI_ETIMEDOUT || error == FI_ESHUTDOWN || error == FI_EIO;
}

}  // namespace

Status Peer::start() {
  HANSA_RETURN_IF_ERROR(allocate());
  for (ReceiveRing& ring : receives_) post_receives(ring);
  return broken_ ? shared_.status : Status();
}

bool Peer::stands() {
  const auto complete = [](const ReceiveRing& ring) { return ring.complete(); };
  if (started_ || !std::all_of(receives_.begin(), receives_.end(), complete)) return started_;
  for (ReceiveRing& ring : receives_) ring.told = ring.posted;
  return started_ = true;
}

Status Peer::allocate() {
  const std::uint32_t lanes = setup_.lanes, count = setup_.shape.count,
                      window = credit_receives(setup_.lanes, setup_.shape.count),
                      credits = std::bit_ceil(window);
  const std::size_t lane_bytes = count * Slots::stride(setup_.shape.bytes),
                    credit = Slots::stride(kCreditBytes);
  const std::size_t bytes = 2 * lanes * lane_bytes + (credits + 1) * credit;
  constexpr std::align_val_t kPage{4096};
  memory_ = {static_cast<std::byte*>(::operator new(bytes, kPage, std::nothrow)),
             [](std::byte* memory) { ::operator delete(memory, kPage); }};
  if (!memory_)
    return Status(Code::kSystem, fmt::format("no memory for rank {}'s slots: {} bytes", setup_.rank, bytes));
  HANSA_ASSIGN_OR_RETURN(region_, fabric_.enroll({memory_.get(), bytes}));
  std::byte* at = memory_.get();
  const auto slots = [&](Purpose purpose, std::uint16_t lane, std::size_t payload, std::uint32_t number) {
    Operation kind;
    kind.peer = this;
    kind.purpose = purpose;
    kind.lane = lane;
    Slots made(at, payload, number, kind);
    at += number * Slots::stride(payload);
    return made;
  };
  for (std::uint16_t lane = 0; lane < lanes; ++lane) {
    sends_.push_back({slots(Purpose::kSend, lane, setup_.shape.bytes, count)});
    sends_.back().limit = count;
    receives_.push_back({slots(Purpose::kReceive, lane, setup_.shape.bytes, count), count});
  }
  receives_.push_back({slots(Purpose::kCreditReceive, kCreditLane, kCreditBytes, credits), window});
  credit_.slots = slots(Purpose::kCreditSend, kCreditLane, kCreditBytes, 1);
  return {};
}

// Where the provider cannot tell senders apart, the tag does, above the 40 bits of the message's name.
std::uint64_t Peer::tag(Rank sender, std::uint16_t lane, std::uint32_t sequence) const {
  const MessageId id{setup_.communicator, 0, static_cast<std::uint8_t>(lane), sequence};
  return fabric_.directed() ? id.tag() : id.tag() | static_cast<std::uint64_t>(sender) << 40;
}

std::byte* Peer::reserve(std::uint16_t lane, std::uint32_t ahead) {
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
    backoff_ = {};
    return true;
  }
  if (result == -FI_EAGAIN) {
    stalled_ = true;
    backoff_ = std::clamp<Clock::duration>(2 * backoff_, kFirstRetry, kSlowestRetry);
    retry_at_ = Clock::now() + backoff_;
  } else {
    const int error = static_cast<int>(-result);
    give_up(is_remote(error) ? Code::kRemote : Code::kSystem, fabric_.text(error));
  }
  return false;
}

bool Peer::post_sends(std::uint16_t lane) {
  SendRing& ring = sends_[lane];
  ReceiveRing& back = receives_[lane];
  const std::uint32_t before = ring.posted;
  while (ring.posted != ring.committed && may_post() && takes_credits() && !gone_) {
    Operation& operation = ring.slots.operation(ring.posted);
    ring.slots.header(ring.posted).limit = back.posted;
    const Bytes message = ring.slots.message(ring.posted, operation.bytes);
    if (!accepted(fabric_.send(message, region_.get(), setup_.address, tag(setup_.self, lane, ring.posted),
                               &operation)))
      break;
    ++shared_.in_flight;
    back.told = back.posted;
    ++ring.posted;
  }
  return ring.posted != before;
}

bool Peer::post_receives(ReceiveRing& ring) {
  const std::uint32_t before = ring.posted;
  while (!ring.complete() && may_post()) {
    Operation& operation = ring.slots.operation(ring.posted);
    if (!accepted(fabric_.receive(ring.slots.room(ring.posted), region_.get(), setup_.address,
                                  tag(setup_.rank, operation.lane, ring.posted), &operation))) {
      if (stalled_ && ++refusals_ > kMostRefusals)
        give_up(Code::kSystem, "the provider takes no receive any more; its queues are too short or stuck");
      break;
    }
    refusals_ = 0;
    operation.busy = true;
    ++ring.posted;
  }
  return ring.posted != before;
}

bool Peer::owes_credit() const {
  if (unreachable_ || broken_ || parted_ || !started_) return false;
  if (parting_) return true;
  // A peer that has said its farewell waits for all of it, any other for none that it does not need.
  return std::any_of(receives_.begin(), receives_.end() - 1,
                     [this](const ReceiveRing& ring) { return gone_ ? ring.owed() > 0 : ring.runs_low(); });
}

bool Peer::credit_due() {
  if (!owes_credit()) {
    patience_ = 0;
    return false;
  }
  std::uint32_t most = 0;
  for (std::size_t lane = 0; lane < sends_.size(); ++lane) most = std::max(most, receives_[lane].owed());
  return parting_ || most * 2 >= setup_.shape.count || ++patience_ >= kCreditPatience;
}

// All lanes' limits in one message, and one such message at a time: what is owed meanwhile gathers.
bool Peer::post_credit() {
  SendRing& ring = credit_;
  Operation& operation = ring.slots.operation(0);
  if (operation.busy || !may_post() || !credit_due()) return false;
  ring.slots.header(0).stamp = parting_ ? kFarewell : 0;
  for (std::size_t lane = 0; lane < sends_.size(); ++lane) {
    std::memcpy(ring.slots.data(0) + 4 * lane, &receives_[lane].posted, 4);
  }
  const Bytes message = ring.slots.message(0, 4 * sends_.size());
  if (!accepted(fabric_.send(message, region_.get(), setup_.address,
                             tag(setup_.self, kCreditLane, ring.posted), &operation))) {
    // The farewell came over a connection; where it is no more, nobody waits for credit.
    unreachable_ = gone_;
    return false;
  }
  operation.busy = true;
  ++shared_.in_flight;
  ++ring.posted;
  for (std::size_t lane = 0; lane < sends_.size(); ++lane) receives_[lane].told = receives_[lane].posted;
  patience_ = 0;
  parted_ = parting_;
  return true;
}

void Peer::completed(Operation& operation, std::size_t message_bytes) {
  operation.busy = false;
  if (operation.purpose == Purpose::kSend || operation.purpose == Purpose::kCreditSend) {
    --shared_.in_flight;
    return;
  }
  talked_ = true;
  const bool credit = operation.purpose == Purpose::kCreditReceive;
  const std::size_t least = sizeof(Header) + (credit ? 4 * sends_.size() : 0);
  if (message_bytes < least) return give_up(Code::kInternal, "a message shorter than its header has come");
  operation.bytes = static_cast<std::uint32_t>(message_bytes - sizeof(Header));
  operation.arrived = true;
  if (credit) return take_credits();
  ++receives_[operation.lane].arrived;
  Slots& slots = receives_[operation.lane].slots;
  raise_limit(operation.lane, slots.header(slots.number_of(operation)).limit);
}

void Peer::take_credits() {
  ReceiveRing& ring = receives_.back();
  for (; ring.slots.operation(ring.released).arrived; ++ring.released) {
    ring.slots.operation(ring.released).arrived = false;
    gone_ = gone_ || ring.slots.header(ring.released).stamp == kFarewell;
    for (std::size_t lane = 0; lane < sends_.size(); ++lane) {
      std::uint32_t limit;
      std::memcpy(&limit, ring.slots.data(ring.released) + 4 * lane, 4);
      raise_limit(static_cast<std::uint16_t>(lane), limit);
    }
  }
  post_receives(ring);
}

void Peer::raise_limit(std::uint16_t lane, std::uint32_t limit) {
  SendRing& ring = sends_[lane];
  // Credits overtake each other where they ride on data; the highest holds.
  if (static_cast<std::int32_t>(limit - ring.limit) <= 0) return;
  if (limit - ring.posted > ring.slots.count())
    return give_up(Code::kInternal, "credit for what was never sent has come");
  ring.limit = limit;
}

void Peer::failed(Operation& operation, const fi_cq_err_entry& entry) {
  operation.busy = false;
  if (operation.purpose == Purpose::kSend || operation.purpose == Purpose::kCreditSend) --shared_.in_flight;
  // Credit that comes too late for a peer that has left is no failure of ours.
  if (operation.purpose == Purpose::kCreditSend) unreachable_ = true;
  if (operation.purpose == Purpose::kCreditSend || gone_ || withdrawing_) return;
  give_up(is_remote(entry.err) ? Code::kRemote : Code::kInternal, fabric_.text(entry));
}

void Peer::give_up(Code code, std::string_view text) {
  broken_ = true;
  if (shared_.status.ok()) shared_.status = Status(code, fmt::format("libfabric, {}: {}", setup_.name, text));
}

bool Peer::pending() const {
  if (broken_) return false;
  const auto waits_to_send = [this](const SendRing& ring) { return ring.posted != ring.committed && !gone_; };
  const auto waits_to_receive = [](const ReceiveRing& ring) { return !ring.complete(); };
  return owes_credit() || std::any_of(sends_.begin(), sends_.end(), waits_to_send) ||
         std::any_of(receives_.begin(), receives_.end(), waits_to_receive);
}

bool Peer::advance() {
  if (stalled_ && Clock::now() < retry_at_) return false;
  stalled_ = false;
  bool any = false;
  for (ReceiveRing& ring : receives_) any = post_receives(ring) || any;
  for (std::uint16_t lane = 0; lane < setup_.lanes; ++lane) any = post_sends(lane) || any;
  return post_credit() || any;
}

bool Peer::farewell() {
  if (!talked_ || broken_) return true;
  parting_ = true;
  const bool told = unreachable_ || (parted_ && !credit_.slots.operation(0).busy);
  const auto received = [](const SendRing& ring) {
    return ring.limit == ring.committed + ring.slots.count();
  };
  return told && (gone_ || std::all_of(sends_.begin(), sends_.end(), received));
}

void Peer::withdraw() {
  withdrawing_ = true;
  for (ReceiveRing& ring : receives_) {
    for (std::uint32_t number = 0; number < ring.slots.count(); ++number) {
      if (ring.slots.operation(number).busy) fabric_.cancel(&ring.slots.operation(number));
    }
  }
}

bool Peer::withdrawn() const {
  const auto idle = [](const auto& ring) { return ring.slots.idle(); };
  return std::all_of(receives_.begin(), receives_.end(), idle) &&
         std::all_of(sends_.begin(), sends_.end(), idle) && idle(credit_);
}

}  // namespace hansa::libfabric
