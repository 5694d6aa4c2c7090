// The steps of calls whose long messages go without slots: where these land, and where they leave from.
#include <fmt/format.h>

#include <algorithm>

#include "executor/execution.hpp"

namespace hansa {

void Execution::start_freight() {
  freight_.start(*std::max_element(chunks_.begin(), chunks_.end()) > 1);
  if (!freight_.active()) return;
  landing_cursors_.assign(plan_.channels.size(), Cursor{});
  workspace_->start_pads(call_.chunk * element_bytes_ *
                         std::max<std::uint32_t>(plan_.schedule.largest_message, 1));
}

// Takes note of what has left and what its steps are done with, and says where the next ones land.
bool Execution::tend_freight() {
  bool any = false;
  for (std::uint32_t c = 0; c < plan_.channels.size(); ++c) {
    FreightMessages::Ring& ring = freight_.ring(c);
    if (ring.freight == nullptr || !plan_.channels[c].outgoing) continue;
    for (; ring.ended != ring.begun && ring.at(ring.ended).done.state != Completion::State::kPending;
         any = true) {
      if (ring.at(ring.ended).done.state == Completion::State::kFailed) fail_freight(c);
      workspace_->give_pad(ring.at(ring.ended).pad);
      freight_.arrived(c);
    }
  }
  for (std::uint32_t c = 0; c < plan_.channels.size() && failure_.ok(); ++c) {
    FreightMessages::Ring& ring = freight_.ring(c);
    if (ring.freight == nullptr || plan_.channels[c].outgoing) continue;
    for (; ring.ended != ring.taken && ring.at(ring.ended).holders == 0; ++ring.ended, any = true)
      workspace_->give_pad(ring.at(ring.ended).pad);
    if (!ring.full()) post_landings(c);
  }
  return any;
}

void Execution::fail_freight(std::uint32_t channel) {
  failure_ = Status(Code::kRemote, fmt::format("a message between this rank and rank {} was cut off",
                                               plan_.channels[channel].peer));
}

void Execution::post_landings(std::uint32_t c) {
  FreightMessages::Ring& ring = freight_.ring(c);
  const Channel& channel = plan_.channels[c];
  Cursor& next = landing_cursors_[c];
  bool more = next.position < channel.steps.size();
  for (; more && !ring.full(); more = move_on(channel, next)) {
    const std::uint32_t step = channel.steps[next.position];
    const std::size_t bytes = step_elements(step, next.chunk) * element_bytes_;
    if (!freight_.carries(c, next.chunk, bytes)) continue;
    FreightMessages::Voyage& voyage = ring.at(ring.begun++);
    voyage = {.step = step, .chunk = next.chunk, .memory = landing_place(step, next.chunk)};
    if (voyage.memory == nullptr) voyage.memory = voyage.pad = workspace_->take_pad();
    ring.freight->land(channel.lane, {voyage.memory, bytes}, voyage.done);
  }
  if (!more) next.position = static_cast<std::uint32_t>(channel.steps.size());
}

// The one run of bytes that an operand's chunk is in memory of this rank; null if it is not one.
std::byte* Execution::run_of(const Operand& operand, std::uint32_t chunk) const {
  if (operand.place == Place::kPeer || operand.blocks.size() != 1) return nullptr;
  return address_of(operand, 0, chunk);
}

// Where the step would copy its message to, if that may be written by now; else null.
std::byte* Execution::landing_place(std::uint32_t index, std::uint32_t chunk) const {
  const Step& step = plan_.schedule.steps[index];
  if (step.sources != 1 || (step.finish && call_.divisor > 1) || !freight_.knows_conflicts()) return nullptr;
  if (plan_.schedule.scratch_blocks > 0 && chunk >= slowest_ + plan_.window) return nullptr;
  for (const std::uint32_t earlier : freight_.earlier(index))
    if (next_[earlier] <= chunk && next_[earlier] < chunks_[earlier]) return nullptr;
  if (freight_.holds_back(index, chunk)) return nullptr;
  for (const Operand& destination : plan_.schedule.destinations(step))
    if (std::byte* const place = run_of(destination, chunk)) return place;
  return nullptr;
}

bool Execution::acquire_freight(std::uint32_t c) {
  FreightMessages::Ring& ring = freight_.ring(c);
  if (plan_.channels[c].outgoing) return !ring.full() && ring.freight->ready(plan_.channels[c].lane);
  if (ring.taken == ring.begun) return false;
  const Completion::State state = ring.at(ring.taken).done.state;
  if (state == Completion::State::kFailed) fail_freight(c);
  return state == Completion::State::kDone;
}

// Sets the cursors of what is sent without slots: from where the bytes lie anyhow, before the step or after
// it, or else from a pad.
void Execution::route_freight(std::uint32_t index, std::uint32_t chunk, const CombineCall& combine,
                              std::size_t bytes) {
  const Step& step = plan_.schedule.steps[index];
  const auto carried = [&](std::uint32_t k) {
    const std::uint32_t c = plan_.channel_of[step.operands + k];
    return c != kNoChannel && freight_.carries(c, chunk, bytes);
  };
  FreightMessages::Voyage from{.step = index, .chunk = chunk};
  if (copies_straight(step, combine)) {
    if (carried(0)) {
      FreightMessages::Ring& ring = freight_.ring(plan_.channel_of[step.operands]);
      from.origin = &ring.at(ring.taken);
      from.memory = from.origin->memory;
    } else if (freight_.knows_conflicts()) {
      from.memory = run_of(plan_.schedule.operands[step.operands], chunk);
    }
  }
  for (std::uint32_t k = step.sources; k < std::uint32_t{step.sources} + step.destinations; ++k)
    if (from.memory == nullptr && freight_.knows_conflicts())
      from.memory = run_of(plan_.schedule.operands[step.operands + k], chunk);
  for (std::uint32_t k = step.sources; k < std::uint32_t{step.sources} + step.destinations; ++k) {
    if (!carried(k)) continue;
    departures_[k] = from;
    if (from.memory == nullptr) departures_[k].memory = departures_[k].pad = workspace_->take_pad();
    walk_[k] = from.memory == nullptr ? OperandCursor::run(departures_[k].memory) : OperandCursor::idle();
  }
}

void Execution::hand_over_freight(std::uint32_t k, std::uint32_t c, std::size_t bytes) {
  if (plan_.channels[c].outgoing)
    freight_.launch(c, departures_[k], bytes);
  else
    ++freight_.ring(c).taken;
}

}  // namespace hansa
