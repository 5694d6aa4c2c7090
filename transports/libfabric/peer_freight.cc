// A peer's long messages that go without slots.
#include <algorithm>
#include <cstring>
#include <new>

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

// Taken once, however often the post is refused. A post that has to wait for one holds up no slot.
bool Peer::has_berth(Voyage& voyage, Registry::Way way) {
  if (voyage.berth.taken) return true;
  // Where regions are the endpoint's it cannot be closed against a landing that never ends, so those into
  // memory of the user's do not stand.
  const bool direct = way == Registry::Way::kLeaves || !fabric().binds();
  try {
    auto berth = port_.registry().take(voyage.memory, direct ? setup_.memory : nullptr, way);
    if (!berth.ok()) {
      give_up(berth.status().code(), berth.status().message());
      return false;
    }
    voyage.berth = berth.value();
  } catch (const std::bad_alloc&) {
    give_up(Code::kSystem, "out of memory");
  }
  if (way == Registry::Way::kLeaves && voyage.berth.pad && !voyage.memory.empty())
    std::memcpy(voyage.berth.memory.data(), voyage.memory.data(), voyage.memory.size());
  return voyage.berth.taken;
}

bool Peer::post_landings(FreightLane& lane) {
  const std::uint32_t before = lane.landings_posted;
  while (lane.landings_posted != lane.landed && may_post()) {
    Voyage& voyage = lane.landing(lane.landings_posted);
    if (!has_berth(voyage, Registry::Way::kLands)) break;
    if (!accepted(fabric().receive(
            voyage.berth.memory, voyage.berth.region, setup_.theirs.address,
            tag(setup_.ours, setup_.rank, voyage.lane + kFreightTagLane, lane.landings_posted),
            static_cast<Operation*>(&voyage)))) {
      count_refusal();
      break;
    }
    refusals_ = 0;
    voyage.busy = true;
    voyage.number = lane.landings_posted++;
  }
  return lane.landings_posted != before;
}

bool Peer::post_launches(FreightLane& lane) {
  const std::uint32_t before = lane.launches_posted;
  // Who has left takes no more of them.
  for (; gone_ && lane.launches_posted != lane.launched; ++lane.launches_posted)
    end(lane.launch(lane.launches_posted), Completion::State::kFailed);
  while (lane.launches_posted != lane.launched && may_post() && takes_credits()) {
    Voyage& voyage = lane.launch(lane.launches_posted);
    if (!has_berth(voyage, Registry::Way::kLeaves)) break;
    if (!accepted(fabric().send(
            voyage.berth.memory, voyage.berth.region, setup_.theirs.address,
            tag(setup_.theirs, setup_.self, voyage.lane + kFreightTagLane, lane.launches_posted),
            static_cast<Operation*>(&voyage))))
      break;
    voyage.busy = true;
    ++shared_->in_flight;
    ++lane.launches_posted;
  }
  return lane.launches_posted != before;
}

// One of another length is of another call, as what came by slots says better. Memory of a landing that was
// called off is its user's again.
void Peer::landed(Voyage& voyage, std::size_t message_bytes) {
  talked_ = heard_ = true;
  if (voyage.number != freight_[voyage.lane].arrived++ && hides_breaks(fabric().info())) lost();
  const bool whole = message_bytes == voyage.memory.size();
  if (voyage.berth.pad && whole && voyage.done != nullptr && !voyage.memory.empty())
    std::memcpy(voyage.memory.data(), voyage.berth.memory.data(), message_bytes);
  end(voyage, whole ? Completion::State::kDone : Completion::State::kFailed);
}

// For a landing that was called off while the peer may be sending to it, where a message that matches nothing
// holds up others. Elsewhere it is the provider's to drop, and for cxi to be counted. Where memory or the
// provider refuse, there is none.
void Peer::stand_in(Voyage& voyage) {
  if (!announced_ || gone_ || (withdrawing_ && !standing_) || !hides_breaks(fabric().info())) return;
  voyage.stand_in.reset(new (std::nothrow) std::byte[voyage.memory.size()]);
  voyage.busy =
      voyage.stand_in != nullptr &&
      fabric().receive({voyage.stand_in.get(), voyage.memory.size()}, nullptr, setup_.theirs.address,
                       tag(setup_.ours, setup_.rank, voyage.lane + kFreightTagLane, voyage.number),
                       static_cast<Operation*>(&voyage)) == 0;
}

// The provider has let go of it, or never had it.
void Peer::end(Voyage& voyage, Completion::State state) {
  voyage.stand_in.reset();
  port_.registry().give_back(voyage.berth);
  voyage.finish(state);
}

void Peer::raise_freight_limit(FreightLane& lane, std::uint32_t limit) {
  if (static_cast<std::int32_t>(limit - lane.limit) <= 0) return;
  if (limit - lane.launches_posted > Freight::kWindow)
    return give_up(Code::kInternal, "a place for what was never sent has come");
  lane.limit = limit;
}

// What stands in a pad may stand: what comes is not copied out, and whoever has sent it has sent it.
void Peer::call_off() {
  closed_ = true;
  for (FreightLane& lane : freight_) {
    lane.landed = lane.told = lane.landings_posted;
    lane.launched = lane.launches_posted;
    for (Voyage& voyage : lane.landings)
      if (voyage.touches_user()) fabric().cancel(static_cast<Operation*>(&voyage));
    for (auto* const voyages : {&lane.landings, &lane.launches}) {
      for (Voyage& voyage : *voyages) {
        voyage.done = nullptr;
        if (!voyage.busy) port_.registry().give_back(voyage.berth);
      }
    }
  }
}

bool Peer::may_write() const {
  return std::any_of(freight_.begin(), freight_.end(),
                     [](const FreightLane& lane) { return FreightLane::any_at_user(lane.landings); });
}

bool Peer::may_read() const {
  return std::any_of(freight_.begin(), freight_.end(),
                     [](const FreightLane& lane) { return FreightLane::any_at_user(lane.launches); });
}

}  // namespace hansa::libfabric
