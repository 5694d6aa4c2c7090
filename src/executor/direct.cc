// The steps of direct plans: what they tell their peers, and when they may run.
#include <algorithm>
#include <cstring>

#include "base/fault_point.hpp"
#include "executor/blocks.hpp"
#include "executor/execution.hpp"

namespace hansa {
namespace {

// The kernel's single copy costs more than two by two ranks up to here (docs/performance.md).
constexpr std::size_t kSmallCopy = std::size_t{64} * 1024;

constexpr std::size_t kLine = 64;

}  // namespace

bool Execution::accepts(std::uint32_t index, std::size_t bytes) const {
  const std::uint32_t source = plan_.schedule.steps[index].operands;
  return plan_.channel_of[source] != kNoChannel && plan_.mechanism_of[source] == Mechanism::kPush &&
         goes_direct(source, bytes) && direct_.remote(source).route == Route::kMemory;
}

Bytes Execution::local_memory(const Operand& operand, std::size_t bytes, std::uint32_t chunk) const {
  const Extent extent = call_.map.at(operand.place, nth_id(operand.blocks, 0, plan_.schedule.blocks));
  std::byte* base = operand.place == Place::kInput ? const_cast<std::byte*>(call_.input) : call_.output;
  return {base + (extent.offset + chunk * call_.chunk) * element_bytes_, bytes};
}

void Execution::announce(std::uint32_t index, std::size_t bytes) {
  const Step& step = plan_.schedule.steps[index];
  const std::uint32_t source = step.operands, channel = plan_.channel_of[source];
  if (!direct_.room_for_note(channel)) return;
  (void)fault_point(Point::kAcceptBegin);
  const Bytes memory = local_memory(plan_.schedule.destinations(step)[0], bytes, next_[index]);
  direct_.send_ready(channel, position_of_[source], next_[index], endpoint_of_[channel]->describe(memory));
  direct_.set_announced(index);
  (void)fault_point(Point::kAcceptSent);
}

std::byte* Execution::depot_of(std::uint32_t index) {
  const std::size_t room = (call_.chunk * element_bytes_ + kLine - 1) / kLine * kLine;
  std::byte* const depot = workspace_->depot(plan_.most_senders * DirectMessages::kDeposits * room);
  const std::size_t place =
      sender_of_[index] * DirectMessages::kDeposits + next_[index] % DirectMessages::kDeposits;
  return depot == nullptr ? nullptr : depot + place * room;
}

Route Execution::route_of(std::uint32_t operand, std::uint32_t index, std::size_t bytes) const {
  if (leaves_in_depots(operand)) {
    if (plan_.mechanism_of[operand] == Mechanism::kPush)
      return direct_.is_private(operand) ? Route::kDepot : Route::kMemory;
    const Operand& source = plan_.schedule.sources(plan_.schedule.steps[index])[0];
    const Bytes offered = local_memory(source, bytes, next_[index]);
    return endpoint_of_[plan_.channel_of[operand]]->describe(offered).allocation == 0 ? Route::kDepot
                                                                                      : Route::kMemory;
  }
  return better_by_slots(operand, index, bytes) ? Route::kSlots : Route::kMemory;
}

bool Execution::better_by_slots(std::uint32_t operand, std::uint32_t index, std::size_t bytes) const {
  Endpoint& endpoint = *endpoint_of_[plan_.channel_of[operand]];
  const Capabilities& can = endpoint.capabilities();
  if (can.staged == Staged::kNone || bytes > can.message_bytes()) return false;
  const bool all = can.staged == Staged::kAll;
  if (plan_.mechanism_of[operand] == Mechanism::kPush)
    return all && direct_.remote(operand).mapped == nullptr;
  // What several read they had better copy themselves, each its own.
  const Step& step = plan_.schedule.steps[index];
  const auto targets = plan_.schedule.destinations(step);
  const auto readers =
      std::count_if(targets.begin(), targets.end(), [](const Operand& o) { return o.place == Place::kPeer; });
  if (readers > 1 || !(all ? step.destinations == 1 : plan_.folds || bytes <= kSmallCopy)) return false;
  const Bytes offered = local_memory(plan_.schedule.sources(step)[0], bytes, next_[index]);
  return endpoint.describe(offered).allocation == 0;
}

// Takes what a peer offers or accepts, once.
bool Execution::learn(std::uint32_t operand, std::uint32_t channel, const Offer& offer, std::size_t bytes) {
  if (direct_.remote(operand).reached || direct_.learn(operand, channel, offer, bytes)) return true;
  failure_ = mismatch(plan_.channels[channel], offer.memory.bytes, bytes);
  return false;
}

bool Execution::acquire_outgoing(std::uint32_t operand, std::uint32_t index, std::size_t bytes) {
  const std::uint32_t c = plan_.channel_of[operand];
  // Whatever way this one goes, another of the step may need the place.
  if (leaves_in_depots(operand) && direct_.unread(operand) == DirectMessages::kDeposits) return false;
  DirectMessages::Remote& remote = direct_.remote(operand);
  const bool deposited =
      leaves_in_depots(operand) && direct_.is_private(operand) && depot_of(index) != nullptr;
  if (plan_.mechanism_of[operand] == Mechanism::kPush && !deposited &&
      (!remote.known || remote.chunk != next_[index] || !learn(operand, c, {remote.descriptor, {}}, bytes)))
    return false;
  remote.route = route_of(operand, index, bytes);
  if (remote.route == Route::kDepot && depot_of(index) == nullptr) remote.route = Route::kMemory;
  if (remote.route == Route::kSlots) return acquire(operand, index, bytes);
  return endpoint_of_[c]->reserve(plan_.channels[c].lane, 0) != nullptr;
}

bool Execution::acquire_direct(std::uint32_t operand, std::uint32_t index, std::size_t bytes) {
  const std::uint32_t c = plan_.channel_of[operand];
  const Channel& channel = plan_.channels[c];
  if (channel.outgoing) return acquire_outgoing(operand, index, bytes);
  const Arrival arrival = endpoint_of_[c]->peek(channel.lane, 0);
  if (arrival.data == nullptr) return false;
  const bool pull = plan_.mechanism_of[operand] == Mechanism::kPull;
  const bool offered = arrival.bytes == sizeof(Offer), written = !pull && arrival.bytes == 0;
  Route& route = direct_.remote(operand).route;
  route = offered && !pull ? Route::kDepot : offered || written ? Route::kMemory : Route::kSlots;
  if (route == Route::kSlots) return acquire(operand, index, bytes);
  if (arrival.stamp != stamp_of(index)) {
    fail_mismatch(channel, arrival, arrival.bytes);
    return false;
  }
  if (written) return true;
  Offer offer;
  std::memcpy(&offer, arrival.data, sizeof offer);
  return learn(operand, c, offer, bytes) && direct_.room_for_note(c);
}

void Execution::hand_over_direct(std::uint32_t operand, std::uint32_t index, std::size_t bytes) {
  const std::uint32_t c = plan_.channel_of[operand];
  const Channel& channel = plan_.channels[c];
  Endpoint& endpoint = *endpoint_of_[c];
  const bool pull = plan_.mechanism_of[operand] == Mechanism::kPull,
             deposited = direct_.remote(operand).route == Route::kDepot;
  if (channel.outgoing && (pull || deposited)) {
    (void)fault_point(Point::kOfferBegin);
    const Operand& source = plan_.schedule.sources(plan_.schedule.steps[index])[0];
    // What lies in the depot was multiplied on its way there.
    const Offer offer = deposited ? Offer{endpoint.describe({depot_of(index), bytes}), {}}
                                  : Offer{endpoint.describe(local_memory(source, bytes, next_[index])),
                                          call_.factor_of(source.place)};
    std::memcpy(endpoint.reserve(channel.lane, 0), &offer, sizeof offer);
    endpoint.commit(channel.lane, sizeof offer, stamp_of(index));
    direct_.set_unread(operand);
    (void)fault_point(Point::kOfferSent);
  } else if (channel.outgoing) {
    (void)fault_point(Point::kCopyDone);
    endpoint.commit(channel.lane, 0, stamp_of(index));
  } else {
    endpoint.release(channel.lane);
    if (!pull && !deposited) return;
    (void)fault_point(Point::kCopyDone);
    direct_.send_read(c, position_of_[operand]);
  }
}

}  // namespace hansa
