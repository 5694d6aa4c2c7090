#include "executor/execution.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/fault_point.hpp"
#include "executor/blocks.hpp"

namespace hansa {

Execution::Execution(Plan plan, std::span<Endpoint* const> endpoints, CombineChooser choose,
                     std::function<bool()> poll, std::shared_ptr<Workspace> workspace)
    : plan_(std::move(plan)), choose_(choose), poll_(std::move(poll)), workspace_(std::move(workspace)) {
  const Schedule& schedule = plan_.schedule;
  for (const Channel& channel : plan_.channels)
    endpoint_of_.push_back(endpoints[static_cast<std::size_t>(channel.peer)]);
  position_of_.resize(schedule.operands.size());
  std::vector<std::uint32_t> used(plan_.channels.size());
  std::uint32_t widest = 0, senders = 0;
  for (const Step& step : schedule.steps) {
    const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
    widest = std::max(widest, count);
    std::uint32_t measure = step.operands;
    // A local block outside scratch knows its own length; the wire's length is known only by id.
    const auto rank_of = [&](const Operand& o) {
      return o.place == Place::kScratch ? 0 : o.place == Place::kPeer ? 1 : 2;
    };
    for (std::uint32_t k = step.operands; k < step.operands + count; ++k) {
      if (rank_of(schedule.operands[k]) > rank_of(schedule.operands[measure])) measure = k;
      if (const std::uint32_t channel = plan_.channel_of[k]; channel != kNoChannel)
        position_of_[k] = used[channel]++;
    }
    measure_of_.push_back(measure);
    sender_of_.push_back(senders);
    audience_of_.push_back(audience_of(plan_, step, endpoint_of_));
    for (std::uint32_t k = step.sources; k < count; ++k)
      if (schedule.operands[step.operands + k].place == Place::kPeer) {
        ++senders;
        break;
      }
  }
  cursors_.resize(plan_.channels.size());
  next_.resize(schedule.steps.size());
  chunks_.resize(schedule.steps.size());
  total_.resize(schedule.steps.size());
  unfinished_.reserve(schedule.steps.size());
  walk_.resize(widest);
  copies_.resize(widest);
  from_.resize(widest);
  to_.resize(widest);
  factors_.resize(widest);
  departures_.resize(widest);
  if (plan_.direct) direct_.bind(plan_, endpoint_of_);
  freight_.bind(plan_, endpoint_of_);
}

std::size_t Execution::block_elements(const Operand& operand, std::uint32_t index) const {
  return elements_of(call_.map, operand, index, plan_.schedule.blocks);
}

std::size_t Execution::piece(std::size_t elements, std::uint32_t chunk) const {
  const std::size_t begin = chunk * call_.chunk;
  return elements > begin ? std::min(elements - begin, call_.chunk) : 0;
}

std::size_t Execution::step_elements(std::uint32_t step, std::uint32_t chunk) const {
  const Operand& measure = plan_.schedule.operands[measure_of_[step]];
  std::size_t sum = 0;
  for (std::uint32_t i = 0; i < measure.blocks.size(); ++i) sum += piece(block_elements(measure, i), chunk);
  return sum;
}

std::size_t Execution::direct_bytes(const Call& call) const {
  return std::min(kDirectBytes, call.chunk * size_of(call.type) *
                                    std::max<std::uint32_t>(plan_.schedule.largest_message, 1));
}

void Execution::bind(const Call& call, BoundCall& bound) const {
  bound.call = call;
  const std::size_t longest = std::min(!plan_.direct ? call.chunk
                                       : cuts(call)  ? call.direct_chunk
                                                     : SIZE_MAX,
                                       call.map.max_elements());
  bound.scratch_stride = (longest * size_of(call.type) + 63) / 64 * 64;
  bound.scratch_bytes = bound.scratch_stride * plan_.schedule.scratch_blocks * plan_.window;
  bound.line.bind(
      plan_, call,
      {endpoint_of_, measure_of_, audience_of_, bound.scratch_stride, direct_bytes(call), choose_});
}

void Execution::start(const Call& call) {
  bind(call, own_);
  start(own_, {call.input, call.output, call.stamp, call.number});
}

void Execution::start_chunks(const BoundCall& bound, const std::byte* input, std::byte* output,
                             std::uint32_t stamp, std::uint32_t number) {
  line_ = nullptr;
  call_ = bound.call;
  call_.input = input;
  call_.output = output;
  call_.stamp = stamp;
  call_.number = number;
  scratch_stride_ = bound.scratch_stride;
  if (plan_.direct) {
    direct_bytes_ = direct_bytes(call_);
    call_.chunk = cuts(call_) ? call_.direct_chunk : std::max<std::size_t>(call_.map.max_elements(), 1);
    direct_.start(call_.number, call_.stamp);
  }
  // Where nothing is copied by pieces they cost addresses only.
  if (plan_.direct) pieces_ = workspace_->pieces(2 * walk_.size());
  element_bytes_ = size_of(call_.type);
  std::fill(cursors_.begin(), cursors_.end(), Cursor{});
  std::fill(next_.begin(), next_.end(), 0);
  unfinished_.clear();
  slowest_ = 0;
  for (std::uint32_t s = 0; s < next_.size(); ++s) {
    const Operand& measure = plan_.schedule.operands[measure_of_[s]];
    std::size_t most = 0;
    total_[s] = 0;
    for (std::uint32_t i = 0; i < measure.blocks.size(); ++i) {
      const std::size_t elements = block_elements(measure, i);
      most = std::max(most, elements);
      total_[s] += elements;
    }
    chunks_[s] = static_cast<std::uint32_t>(std::max<std::size_t>((most + call_.chunk - 1) / call_.chunk, 1));
    unfinished_.push_back(s);
  }
  start_freight();
}

void Execution::fail_line() {
  const StraightLine::Mismatch& found = line_->mismatch();
  fail_mismatch(plan_.channels[found.channel], found.arrival, found.expected);
}

bool Execution::advance_chunks(const std::atomic<bool>& ended, bool alone) {
  ended_ = &ended;
  alone_ = alone;
  const std::uint32_t unread = direct_.unread();
  if (plan_.direct && failure_.ok()) failure_ = direct_.drain();
  bool any = direct_.unread() != unread;
  for (bool again = true; again && failure_.ok() && !ended.load(std::memory_order_relaxed);) {
    again = freight_.active() && tend_freight();
    std::size_t kept = 0;
    std::uint32_t slowest = UINT32_MAX;
    for (std::size_t i = 0; i < unfinished_.size(); ++i) {
      const std::uint32_t step = unfinished_[i];
      while (failure_.ok() && next_[step] < chunks_[step] && try_step(step)) again = true;
      if (next_[step] < chunks_[step]) {
        slowest = std::min(slowest, next_[step]);
        unfinished_[kept++] = step;
      }
    }
    unfinished_.resize(kept);
    slowest_ = freight_.active() ? std::min(slowest, freight_.oldest_chunk()) : slowest;
    any = any || again;
  }
  return any;
}

bool Execution::dependencies_met(std::uint32_t index, std::uint32_t chunk) const {
  if (plan_.schedule.scratch_blocks > 0 && chunk >= slowest_ + plan_.window) return false;
  for (const std::uint32_t dep : plan_.schedule.dependencies(plan_.schedule.steps[index]))
    if (next_[dep] <= chunk && next_[dep] < chunks_[dep]) return false;
  return true;
}

bool Execution::on_turn(std::uint32_t index, std::uint32_t chunk) const {
  const Step& step = plan_.schedule.steps[index];
  for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k) {
    const std::uint32_t channel = plan_.channel_of[k];
    if (channel == kNoChannel) continue;
    if (cursors_[channel].position != position_of_[k] || cursors_[channel].chunk != chunk) return false;
  }
  return true;
}

Rank Execution::waits_for(const std::function<bool(Rank)>& gone) const {
  // Notes are not looked at meanwhile.
  if (copies_with_ >= 0) return gone(copies_with_) ? copies_with_ : -1;
  if (line_ != nullptr) {
    const std::uint32_t channel =
        line_->waits_for([&](std::uint32_t c) { return gone(plan_.channels[c].peer); });
    return channel == kNoChannel ? -1 : plan_.channels[channel].peer;
  }
  for (const std::uint32_t index : unfinished_) {
    const Step& step = plan_.schedule.steps[index];
    if (next_[index] >= chunks_[index] || !dependencies_met(index, next_[index])) continue;
    for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k) {
      const std::uint32_t c = plan_.channel_of[k];
      if (c == kNoChannel || !gone(plan_.channels[c].peer)) continue;
      if (cursors_[c].position != position_of_[k] || cursors_[c].chunk != next_[index]) continue;
      const Channel& channel = plan_.channels[c];
      if (!may_move(c, index)) return channel.peer;
    }
  }
  for (std::uint32_t k = 0; k < plan_.channel_of.size() && direct_.unread() > 0; ++k)
    if (direct_.unread(k) > 0 && gone(plan_.schedule.operands[k].peer))
      return plan_.schedule.operands[k].peer;
  for (std::uint32_t c = 0; c < plan_.channels.size() && freight_.flying() > 0; ++c) {
    const FreightMessages::Ring& ring = freight_.ring(c);
    if (plan_.channels[c].outgoing && ring.begun != ring.ended && gone(plan_.channels[c].peer))
      return plan_.channels[c].peer;
  }
  return -1;
}

// Whether the channel's next message, which is the step's, finds any of what it needs.
bool Execution::may_move(std::uint32_t c, std::uint32_t step) const {
  const Channel& channel = plan_.channels[c];
  if (freight_.carries(c, next_[step], step_elements(step, next_[step]) * element_bytes_)) {
    const FreightMessages::Ring& ring = freight_.ring(c);
    return channel.outgoing
               ? ring.freight->ready(channel.lane)
               : ring.taken != ring.begun && ring.at(ring.taken).done.state == Completion::State::kDone;
  }
  return channel.outgoing ? endpoint_of_[c]->reserve(channel.lane, 0) != nullptr
                          : endpoint_of_[c]->peek(channel.lane, 0).data != nullptr;
}

bool Execution::acquire(std::uint32_t operand, std::uint32_t step, std::size_t bytes) {
  const std::uint32_t index = plan_.channel_of[operand];
  if (index == kNoChannel) return true;
  if (freight_.carries(index, next_[step], bytes)) return acquire_freight(index);
  const Channel& channel = plan_.channels[index];
  Endpoint& endpoint = *endpoint_of_[index];
  const std::size_t slot = endpoint.capabilities().slot_bytes;
  const std::uint32_t last = slots_of(bytes, slot) - 1;
  if (channel.outgoing) return endpoint.reserve(channel.lane, last) != nullptr;
  // What has arrived is looked at even before all of it has: a mismatched peer may send less.
  const Arrival first = endpoint.peek(channel.lane, 0);
  if (first.data == nullptr) return false;
  const std::size_t expected = last > 0 ? slot : bytes;
  if (first.stamp != stamp_of(step) || first.bytes != expected) {
    fail_mismatch(channel, first, expected);
    return false;
  }
  if (last == 0) return true;
  if (endpoint.peek(channel.lane, last).data == nullptr) return false;
  (void)fault_point(Point::kMessageArrived);
  return true;
}

bool Execution::try_step(std::uint32_t index) {
  const std::uint32_t chunk = next_[index];
  const Step& step = plan_.schedule.steps[index];
  if (!dependencies_met(index, chunk) || freight_.holds_back(index, chunk)) return false;
  const std::size_t bytes = step_elements(index, chunk) * element_bytes_;
  if (accepts(index, bytes) && !direct_.announced(index)) announce(index, bytes);
  if (!on_turn(index, chunk)) return false;
  for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k)
    if (!(goes_direct(k, bytes) ? acquire_direct(k, index, bytes) : acquire(k, index, bytes))) return false;
  posted_ = posts(index, bytes);
  if (bytes > 0 && !accepts(index, bytes)) transfer(index, chunk);
  if (!failure_.ok() || ended_->load(std::memory_order_relaxed)) return false;
  hand_over(index, bytes);
  finish_chunk(index);
  return true;
}

void Execution::finish_chunk(std::uint32_t index) {
  ++next_[index];
  if (plan_.direct) direct_.forget_announced(index);
}

void Execution::hand_over(std::uint32_t index, std::size_t bytes) {
  const Step& step = plan_.schedule.steps[index];
  for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k) {
    const std::uint32_t c = plan_.channel_of[k];
    if (c == kNoChannel) continue;
    if (goes_direct(k, bytes))
      hand_over_direct(k, index, bytes);
    else if (freight_.carries(c, next_[index], bytes))
      hand_over_freight(k - step.operands, c, bytes);
    else if (!posted_ || !plan_.channels[c].outgoing)
      hand_over_cells(plan_.channels[c], *endpoint_of_[c], index, bytes);
    if (plan_.direct) direct_.remote(k) = {};  // the next chunk's memory lies elsewhere
    pass(c);
  }
  if (posted_) hand_over_posts(index, bytes);
}

void Execution::hand_over_cells(const Channel& channel, Endpoint& endpoint, std::uint32_t step,
                                std::size_t bytes) {
  const std::size_t slot = endpoint.capabilities().slot_bytes;
  std::size_t left = bytes;
  if (bytes > slot) (void)fault_point(channel.outgoing ? Point::kMessageReserved : Point::kMessageRead);
  for (std::uint32_t cell = slots_of(bytes, slot); cell > 0; --cell) {
    const std::size_t now = std::min(left, slot);
    if (channel.outgoing)
      endpoint.commit(channel.lane, static_cast<std::uint32_t>(now), stamp_of(step));
    else
      endpoint.release(channel.lane);
    left -= now;
    if (channel.outgoing && cell > 1) (void)fault_point(Point::kMessageHalf);
  }
  if (channel.outgoing && bytes > slot) (void)fault_point(Point::kMessageSent);
}

bool Execution::move_on(const Channel& channel, Cursor& cursor) const {
  const auto has = [&] { return cursor.chunk < chunks_[channel.steps[cursor.position]]; };
  if (plan_.order == ChunkOrder::kStepMajor) {
    ++cursor.chunk;
    if (!has()) cursor = {cursor.position + 1, 0};
    return cursor.position < channel.steps.size();
  }
  // Steps that have no bytes left in this chunk are passed over; after a whole round without any the
  // channel is done, and the cursor stays where no step looks for it.
  for (std::size_t tried = 0; tried <= channel.steps.size(); ++tried) {
    if (++cursor.position == channel.steps.size()) cursor = {0, cursor.chunk + 1};
    if (has()) return true;
  }
  return false;
}

Status Execution::mismatch(const Channel& channel, std::size_t theirs, std::size_t ours) const {
  return Status(Code::kInvalidUsage,
                fmt::format("rank {} has {} bytes where this rank has {}: counts must match", channel.peer,
                            theirs, ours));
}

void Execution::fail_mismatch(const Channel& channel, const Arrival& arrival, std::size_t expected) {
  failure_ =
      arrival.stamp == call_.stamp || arrival.bytes != expected
          ? mismatch(channel, arrival.bytes, expected)
          : Status(
                Code::kInvalidUsage,
                fmt::format("rank {} is in another call than this rank, or sends another count: collective, "
                            "count, type, operation and root must be equal on all ranks, and calls must come "
                            "in the same order (signature {:#010x} arrived, {:#010x} expected)",
                            channel.peer, arrival.stamp, call_.stamp));
}

}  // namespace hansa
