// Where the ranks of two ports first meet: nothing is posted or allocated for a peer until one of the two has
// something to send.
//
// Whoever wants to send posts its own receives and rings; the other posts its own and answers; then data may
// fly both ways. For each remote port there stands one receive for rings, whatever the number of
// communicators and ranks on both sides, so starting costs a message of eight bytes posted for each process.
// One ring at a time is on its way; its answer says that the next is expected, so none comes unexpected.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "transports/libfabric/poster.hpp"

namespace hansa::libfabric {

class Peer;
class Port;

class Door final : public Poster {
 public:
  static constexpr std::size_t kReceives = 2;  // that it posts at most

  // `generation` is the other port's. The bits of a tag name the sender where the provider cannot match it:
  // of messages to us and of ours.
  Door(Port& port, fi_addr_t address, std::uint64_t generation, std::uint64_t to_us, std::uint64_t from_us);

  // Allocates, and posts the receive for rings if the provider takes it now; advance() does otherwise.
  Status open();
  std::uint64_t generation() const { return generation_; }
  // Why nobody can be met here; ok while one can.
  const Status& status() const { return broken_; }
  bool stands() const { return ring_in_.operation(0).busy || asked_; }

  // Tells the peer's other end, in its turn, that the peer stands; the answer comes by Peer::welcome().
  void ring_for(Peer& peer);
  // The peer is about to go.
  void forget(const Peer& peer);
  // Nobody can be met here any more, and all that wait for that are told.
  void give_up(Code code, std::string text);

  void completed(Operation& operation, std::size_t message_bytes) override;
  void failed(Operation& operation, const fi_cq_err_entry& entry) override;
  bool pending() const override;
  bool advance() override;
  void withdraw() override;
  bool withdrawn() const override;

 private:
  bool send(Slots& slot, std::uint16_t lane, std::uint32_t& number, std::uint32_t stamp);
  bool receive(Slots& slot, std::uint16_t lane, std::uint32_t number);
  bool post_ring_receive();
  bool answer();
  bool ring();
  std::uint64_t tag(std::uint16_t lane, std::uint32_t sequence) const;
  Peer* asked_peer() const;

  Port& port_;
  fi_addr_t address_;
  std::uint64_t generation_;
  std::uint64_t to_us_, from_us_;
  Slots ring_in_, ring_out_, answer_in_, answer_out_;  // of one slot each
  std::uint32_t rings_come_ = 0, rings_sent_ = 0, answers_come_ = 0, answers_sent_ = 0;
  bool asked_ = false;           // a ring has come that is not answered
  std::uint32_t asked_for_ = 0;  // whom it is for
  bool rung_ = false;            // a ring of ours is not answered
  Peer* rung_for_ = nullptr;     // null if it has gone meanwhile
  std::deque<Peer*> queue_;      // to ring for
  Retry retry_;
  bool withdrawing_ = false;
  Status broken_;  // why nobody can be met here any more
};

}  // namespace hansa::libfabric
