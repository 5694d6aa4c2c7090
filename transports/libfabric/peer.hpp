// One peer: its channels, their memory, and the credits that say how much of them is free.
//
// A receive stands in the provider for every slot that the other side may send to, and a slot is given back
// to the sender only when its next receive stands: nothing arrives unexpected, so a flood to a sleeping
// receiver ends at the rings' size. Credits ride in front of data that goes the other way; what is left over
// goes by messages of its own, at the latest a few polls later.
#pragma once

#include <chrono>
#include <memory>

#include "hansa/transport.hpp"
#include "transports/libfabric/fabric.hpp"
#include "transports/libfabric/ring.hpp"
#include "transports/slot_shape.hpp"

namespace hansa::libfabric {

// Tags leave 4 bits for lanes; the last one is the credits'.
inline constexpr std::uint16_t kCreditLane = 15;
inline constexpr std::uint16_t kMostLanes = kCreditLane;

// Receives for credits from one peer: as many as it has slots to free, since each message frees one at least;
// and one for the message in flight, which data that says the same may overtake where the provider keeps no
// order.
constexpr std::uint32_t credit_receives(std::uint16_t lanes, std::uint32_t slots) {
  return lanes * slots + 1;
}

// Receives that stand for one peer in all.
constexpr std::size_t receives_per_peer(std::uint16_t lanes, std::uint32_t slots) {
  return lanes * slots + credit_receives(lanes, slots);
}

// What the peers of one transport have in common.
struct Shared {
  Status status;              // the first failure of any message
  std::size_t in_flight = 0;  // sends that the provider has not completed
};

struct PeerSetup {
  Rank self = 0, rank = 0;
  std::uint16_t lanes = 1;
  std::uint16_t communicator = 0;  // as in MessageId
  SlotShape shape;
  fi_addr_t address = FI_ADDR_UNSPEC;
  std::string name = {};  // of the rank, for people
};

// Belongs to its transport, and lives as long: the provider may write to its memory until the fabric is
// closed.
class Peer {
 public:
  Peer(Fabric& fabric, Shared& shared, const PeerSetup& setup)
      : fabric_(fabric), shared_(shared), setup_(setup), memory_(nullptr, nullptr) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Allocates and posts as many receives as the provider takes now; called once. The others follow by
  // advance().
  Status start();
  // Whether all of them are posted by now. Nothing is sent before this was true once.
  bool stands();

  // As Endpoint's.
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead);
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp);
  Arrival peek(std::uint16_t lane, std::uint32_t ahead);
  void release(std::uint16_t lane);
  // The user is done with this peer: what still arrives is not shown.
  void close() { closed_ = true; }

  void completed(Operation& operation, std::size_t message_bytes);
  void failed(Operation& operation, const fi_cq_err_entry& entry);

  // Whether advance() has something to do, now or later.
  bool pending() const;
  // Posts what waits: messages that the provider has refused so far, credits that are due. True if it posted
  // any.
  bool advance();
  // Called between polls before the fabric is closed: tells the peer that nothing more is wanted from it.
  // True when that is told and all that was sent is received, or never will be.
  bool farewell();

  // The end, where a region must be closed before its endpoint: asks for the end of all receives; whether
  // nothing of this peer is posted any more; closes the region.
  void withdraw();
  bool withdrawn() const;
  void close_region() { region_.reset(); }

  bool waiting = false;  // the transport's mark: stands in its list of peers to advance

 private:
  using Clock = std::chrono::steady_clock;

  Status allocate();
  std::uint64_t tag(Rank sender, std::uint16_t lane, std::uint32_t sequence) const;
  bool may_post() const { return !stalled_ && !broken_ && !withdrawing_; }
  bool accepted(ssize_t result);
  // Whether the peer may be given cause to send credits: all its receives for them stand.
  bool takes_credits() const { return receives_.back().complete(); }
  bool post_sends(std::uint16_t lane);
  bool post_receives(ReceiveRing& ring);
  bool post_credit();
  bool credit_due();
  bool owes_credit() const;
  void take_credits();
  void raise_limit(std::uint16_t lane, std::uint32_t limit);
  void give_up(Code code, std::string_view text);

  Fabric& fabric_;
  Shared& shared_;
  PeerSetup setup_;
  std::unique_ptr<std::byte, void (*)(std::byte*)> memory_;
  Owned<fid_mr> region_;
  std::vector<SendRing> sends_;        // by lane
  std::vector<ReceiveRing> receives_;  // by lane, then the credits'
  SendRing credit_;                    // of one slot
  std::uint32_t patience_ = 0;         // polls since credit was first owed
  std::uint32_t refusals_ = 0;         // of receives, in a row
  bool talked_ = false;                // anything was ever sent or received
  bool started_ = false;               // all receives stood
  bool withdrawing_ = false;           // receives end because we want them to
  bool closed_ = false;                // by our user
  bool parting_ = false;               // our farewell is due
  bool parted_ = false;                // our farewell is posted
  bool gone_ = false;                  // the peer's farewell has come
  bool unreachable_ = false;           // no credit can reach the peer any more
  bool broken_ = false;                // a message failed: nothing more is posted
  bool stalled_ = false;  // the provider refused the last post; advance() tries again at retry_at_
  Clock::time_point retry_at_{};
  Clock::duration backoff_{};
};

}  // namespace hansa::libfabric
