// One peer: its channels, their memory, and the credits that say how much of them is free.
//
// A receive stands in the provider for every slot that the other side may send to, and a slot is given back
// to the sender only when its next receive stands: nothing arrives unexpected, so a flood to a sleeping
// receiver ends at the rings' size. Credits ride in front of data that goes the other way; what is left over
// goes by messages of its own, at the latest a few polls later.
//
// Nothing of this is allocated or posted before one of the two ends has something to send: the ends meet by
// their ports' doors (door.hpp).
#pragma once

#include <memory>

#include "hansa/transport.hpp"
#include "transports/libfabric/freight_lane.hpp"
#include "transports/libfabric/port.hpp"
#include "transports/libfabric/poster.hpp"
#include "transports/slot_shape.hpp"

namespace hansa::libfabric {

// Tags leave 4 bits for lanes; the last one is the credits'.
inline constexpr std::uint16_t kCreditLane = 15;
inline constexpr std::uint16_t kMostLanes = kCreditLane;

// What the channels to one peer look like.
struct Channels {
  std::uint16_t lanes = 1;
  SlotShape shape;
  std::uint16_t freight_lanes = 0;

  std::uint32_t asks = 0;  // questions that a peer may leave unanswered
  // Landings that stand at most.
  constexpr std::uint32_t landings() const { return freight_lanes * Freight::kWindow; }
  // Receives for credits: as many as the peer has slots to free and landings to tell of, since each message
  // does one at least; one for the message in flight, which data that says the same may overtake where the
  // provider keeps no order; and those that ask or answer.
  constexpr std::uint32_t credits() const { return lanes * shape.count + landings() + 1 + 2 * asks; }
  // Receives that stand in all.
  constexpr std::size_t receives() const { return lanes * shape.count + landings() + credits(); }
};

struct PeerSetup {
  Rank self = 0, rank = 0;
  Channels channels;
  PeerKey ours, theirs;            // of messages to us, and of ours, with the peer's address
  std::string name = {};           // of the rank, for people
  const Memory* memory = nullptr;  // who knows memory of our own; may be null
};

class Peer final : public Poster {
 public:
  Peer(Port& port, Door& door, std::shared_ptr<Shared> shared, const PeerSetup& setup)
      : Poster(std::move(shared)), port_(port), door_(door), setup_(setup) {}

  const Channels& channels() const { return setup_.channels; }
  const PeerKey& ours() const { return setup_.ours; }
  const PeerKey& theirs() const { return setup_.theirs; }
  Door& door() { return door_; }

  // The other end stands, and wants to send or to be sent to. False if nobody here is interested.
  bool called();
  // Whether all receives are posted.
  bool stands() const { return started_; }
  // The other end was told so.
  void announced() { announced_ = true; }
  bool is_announced() const { return announced_; }
  void give_up(Code code, std::string_view text);

  // As Endpoint's.
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead);
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp);
  Arrival peek(std::uint16_t lane, std::uint32_t ahead);
  void release(std::uint16_t lane);
  // As Freight's.
  void land(std::uint16_t lane, Bytes into, Completion& done);
  bool ready(std::uint16_t lane);
  void launch(std::uint16_t lane, BytesView from, Completion& done);
  // The user is done with this peer: what still arrives is not shown, and landings are called off.
  void call_off();
  // Whether the provider may still write to memory of the user's, and whether it may read there: what it sent
  // to a peer that takes it no more may never end.
  bool may_write() const;
  bool may_read() const;

  void completed(Operation& operation, std::size_t message_bytes) override;
  void failed(Operation& operation, const fi_cq_err_entry& entry) override;
  bool pending() const override;
  bool advance() override;
  // Called between polls before the end: tells the peer that nothing more is wanted from it. True when that
  // is told and all that was sent is received, or never will be.
  bool farewell();
  // As withdraw(), but places that the peer was told of stand until it has said its farewell: some providers
  // pass nothing on behind a message that matches none. Whether there are any: then somebody has to keep
  // this.
  bool leave();
  // Called now and then while somebody polls: asks a peer that is silent whether it has sent anything.
  void look_for_losses();
  void withdraw() override;
  bool withdrawn() const override;

 private:
  static bool is_send(const Operation& operation);
  void open();
  Status make_slots();
  bool is_open() const { return !receives_.empty(); }
  bool met() const { return started_ && called_; }
  std::uint64_t tag(const PeerKey& key, Rank sender, std::uint16_t lane, std::uint32_t sequence) const;
  Fabric& fabric() { return port_.fabric(); }
  void start();
  bool may_post() const { return !retry_.stalled() && !broken_ && !withdrawing_; }
  bool accepted(ssize_t result);
  // Whether the peer may be given cause to send credits: all its receives for them stand.
  bool takes_credits() const { return receives_.back().complete(); }
  bool post_sends(std::uint16_t lane);
  bool post_receives(ReceiveRing& ring);
  void count_refusal();
  bool post_landings(FreightLane& lane);
  bool post_launches(FreightLane& lane);
  bool has_berth(Voyage& voyage, Registry::Way way);
  void landed(Voyage& voyage, std::size_t message_bytes);
  void stand_in(Voyage& voyage);
  void cancel_receives();
  void end(Voyage& voyage, Completion::State state);
  void raise_freight_limit(FreightLane& lane, std::uint32_t limit);
  bool post_credit();
  std::size_t credit_bytes() const { return 4 * (1 + 2 * (sends_.size() + freight_.size())); }
  bool credit_due();
  bool owes_credit() const;
  void take_credits(std::uint32_t newest);
  void raise_limit(std::uint16_t lane, std::uint32_t limit);
  void lost();

  Port& port_;
  Door& door_;
  PeerSetup setup_;
  std::vector<SendRing> sends_;        // by lane; empty while nothing is open
  std::vector<ReceiveRing> receives_;  // by lane, then the credits'
  SendRing credit_;                    // of one slot
  std::vector<FreightLane> freight_;   // by lane
  std::uint32_t patience_ = 0;         // polls since credit was first owed
  std::uint32_t refusals_ = 0;         // of receives, in a row
  std::uint32_t asked_ = 0;            // questions for what was sent
  std::uint32_t asks_answered_ = 0;    // of these, by the peer
  std::uint32_t asks_heard_ = 0;       // the peer's
  std::uint32_t answered_ = 0;         // of these
  std::uint32_t asks_seen_ = 0;        // the peer's, at the last look
  std::uint32_t deaf_looks_ = 0;       // that found more of these, and no answer
  bool asking_ = false;                // a question is due
  bool heard_ = false;                 // anything, since the last look
  bool talked_ = false;                // anything was ever sent or received
  bool started_ = false;               // all receives stood
  bool called_ = false;                // so do the peer's
  bool announced_ = false;             // the peer was told, or is being told, that ours do
  bool withdrawing_ = false;           // receives end because we want them to
  bool standing_ = false;              // or would, but for what may still come
  bool closed_ = false;                // by our user
  bool parting_ = false;               // our farewell is due
  bool parted_ = false;                // our farewell is posted
  bool gone_ = false;                  // the peer's farewell has come
  bool unreachable_ = false;           // no credit can reach the peer any more
  bool broken_ = false;                // a message failed: nothing more is posted
  Retry retry_;
};

}  // namespace hansa::libfabric
