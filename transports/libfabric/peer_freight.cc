// A peer's long messages that go without slots.
#include <algorithm>

#include "transports/libfabric/peer.hpp"

namespace hansa::libfabric {

void Peer::land(std::uint16_t lane, Bytes into, Completion& done) {
  done.state = Completion::State::kPending;
  open();
  if (!is_open() || closed_) return;
  FreightLane& one = freight_[lane];
  Voyage& voyage = one.landing(one.landed++);
  voyage.memory = into;
  voyage.done = &done;
  post_landings(one);
}

bool Peer::ready(std::uint16_t lane) {
  if (!met()) {
    open();
    return false;
  }
  const FreightLane& one = freight_[lane];
  return one.limit != one.launched && !broken_ && !closed_;
}

void Peer::launch(std::uint16_t lane, BytesView from, Completion& done) {
  done.state = Completion::State::kPending;
  FreightLane& one = freight_[lane];
  Voyage& voyage = one.launch(one.launched++);
  voyage.memory = {const_cast<std::byte*>(from.data()), from.size()};
  voyage.done = &done;
  talked_ = true;
  post_launches(one);
}

bool Peer::post_landings(FreightLane& lane) {
  const std::uint32_t before = lane.landings_posted;
  while (lane.landings_posted != lane.landed && may_post()) {
    Voyage& voyage = lane.landing(lane.landings_posted);
    if (!accepted(fabric().receive(
            voyage.memory, nullptr, setup_.theirs.address,
            tag(setup_.ours, setup_.rank, voyage.lane + kFreightTagLane, lane.landings_posted),
            static_cast<Operation*>(&voyage)))) {
      count_refusal();
      break;
    }
    refusals_ = 0;
    voyage.busy = true;
    ++lane.landings_posted;
  }
  return lane.landings_posted != before;
}

bool Peer::post_launches(FreightLane& lane) {
  const std::uint32_t before = lane.launches_posted;
  // Who has left takes no more of them.
  for (; gone_ && lane.launches_posted != lane.launched; ++lane.launches_posted)
    lane.launch(lane.launches_posted).finish(Completion::State::kFailed);
  while (lane.launches_posted != lane.launched && may_post() && takes_credits()) {
    Voyage& voyage = lane.launch(lane.launches_posted);
    if (!accepted(fabric().send(
            voyage.memory, nullptr, setup_.theirs.address,
            tag(setup_.theirs, setup_.self, voyage.lane + kFreightTagLane, lane.launches_posted),
            static_cast<Operation*>(&voyage))))
      break;
    voyage.busy = true;
    ++shared_->in_flight;
    ++lane.launches_posted;
  }
  return lane.launches_posted != before;
}

// One of another length is of another call, as what came by slots says better.
void Peer::landed(Voyage& voyage, std::size_t message_bytes) {
  talked_ = true;
  voyage.finish(message_bytes == voyage.memory.size() ? Completion::State::kDone
                                                      : Completion::State::kFailed);
}

void Peer::raise_freight_limit(FreightLane& lane, std::uint32_t limit) {
  if (static_cast<std::int32_t>(limit - lane.limit) <= 0) return;
  if (limit - lane.launches_posted > Freight::kWindow)
    return give_up(Code::kInternal, "a place for what was never sent has come");
  lane.limit = limit;
}

void Peer::call_off() {
  closed_ = true;
  for (FreightLane& lane : freight_) {
    lane.landed = lane.told = lane.landings_posted;
    lane.launched = lane.launches_posted;
    for (Voyage& voyage : lane.landings) {
      voyage.done = nullptr;
      if (voyage.busy) fabric().cancel(static_cast<Operation*>(&voyage));
    }
    for (Voyage& voyage : lane.launches) voyage.done = nullptr;
  }
}

bool Peer::may_write() const {
  return std::any_of(freight_.begin(), freight_.end(),
                     [](const FreightLane& lane) { return FreightLane::any_busy(lane.landings); });
}

bool Peer::may_read() const {
  return std::any_of(freight_.begin(), freight_.end(),
                     [](const FreightLane& lane) { return FreightLane::any_busy(lane.launches); });
}

}  // namespace hansa::libfabric
