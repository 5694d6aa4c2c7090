// The two ends of a channel: rings of slots whose messages the fabric carries one by one. Plain bookkeeping;
// posting is Peer's. All counters run from 0 and wrap; slot n of a channel lies at n modulo the number of
// slots, a power of two so that this holds across the wrap.
#pragma once

#include <rdma/fabric.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "hansa/types.hpp"

namespace hansa::libfabric {

class Poster;

// What stands in front of every payload.
struct Header {
  std::uint32_t stamp = 0;
  std::uint32_t limit =
      0;  // credit for the other direction of the lane: slots below this number have a receive
};

// Payloads lie on cache lines of their own, the header just before.
inline constexpr std::size_t kLine = 64;
static_assert(sizeof(Header) == 8);

enum class Purpose : std::uint8_t { kSend, kReceive, kCreditSend, kCreditReceive, kLaunch, kLanding };

// One posted message. Stays where it is; the provider hands its address back on completion.
struct Operation {
  fi_context2 context{};  // the provider's own while posted; must be first
  Poster* poster = nullptr;
  Purpose purpose = Purpose::kSend;
  std::uint16_t lane = 0;
  bool busy = false;        // with the provider, or committed: the slot must not change until it is completed
  bool arrived = false;     // receives: completed and not yet released
  std::uint32_t bytes = 0;  // of the payload
};

// Slots of one direction of a lane, `count` of them, each with room for `payload` bytes behind a header.
class Slots {
 public:
  static std::size_t stride(std::size_t payload) { return kLine + (payload + kLine - 1) / kLine * kLine; }

  Slots() = default;
  Slots(std::byte* memory, std::size_t payload, std::uint32_t count, const Operation& kind)
      : memory_(memory), payload_(payload), operations_(count, kind) {}
  std::uint32_t count() const { return static_cast<std::uint32_t>(operations_.size()); }
  bool idle() const {
    return std::none_of(operations_.begin(), operations_.end(),
                        [](const Operation& one) { return one.busy; });
  }
  Operation& operation(std::uint32_t number) { return operations_[number % count()]; }
  const Operation& operation(std::uint32_t number) const { return operations_[number % count()]; }
  std::uint32_t number_of(const Operation& operation) const {
    return static_cast<std::uint32_t>(&operation - operations_.data());
  }
  std::byte* data(std::uint32_t number) { return memory_ + number % count() * stride(payload_) + kLine; }
  Header& header(std::uint32_t number) { return reinterpret_cast<Header*>(data(number))[-1]; }
  // The message of a slot: header and the first `bytes` of the payload.
  Bytes message(std::uint32_t number, std::size_t bytes) {
    return {data(number) - sizeof(Header), sizeof(Header) + bytes};
  }
  Bytes room(std::uint32_t number) { return message(number, payload_); }

 private:
  std::byte* memory_ = nullptr;
  std::size_t payload_ = 0;
  std::vector<Operation> operations_;
};

struct SendRing {
  Slots slots;
  std::uint32_t committed = 0;  // by the user
  std::uint32_t posted = 0;     // taken by the provider; at most `committed`
  std::uint32_t limit = 0;      // the peer has receives for all slots below this number
};

struct ReceiveRing {
  Slots slots;
  std::uint32_t window = 0;    // receives that stand at a time; at most as many as slots
  std::uint32_t released = 0;  // by the user
  std::uint32_t posted = 0;    // receives that the provider has taken; at most released + window
  std::uint32_t told = 0;      // the last value of `posted` that the peer was sent
  std::uint32_t arrived = 0;   // messages that have come

  std::uint32_t owed() const { return posted - told; }
  // Whether the peer may run out: it has no more than half a ring to go.
  bool runs_low() const { return owed() > 0 && (told - arrived) * 2 <= slots.count(); }
  bool complete() const { return posted == released + window; }
};

}  // namespace hansa::libfabric
