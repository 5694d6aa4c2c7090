#include "executor/straight_line.hpp"

#include <algorithm>

#include "executor/blocks.hpp"

namespace hansa {

void StraightLine::bind(const Plan& plan, const Call& call, const Bindings& bindings) {
  steps_.clear();
  base_of_.clear();
  messages_.clear();
  deps_.clear();
  runs_.clear();
  offsets_.clear();
  last_on_.assign(plan.channels.size(), UINT32_MAX);
  std::size_t widest = 0;
  for (std::uint32_t s = 0; s < plan.schedule.steps.size(); ++s) {
    if (!add(plan, call, bindings, s)) return steps_.clear();
    widest = std::max<std::size_t>(widest, steps_[s].sources + std::size_t{steps_[s].destinations});
  }
  bases_.resize(kCells + widest);
  at_.resize(widest);
  call_ = {.type = call.type, .op = call.op, .factor = call.factor};
  divisor_ = call.divisor;
}

bool StraightLine::add(const Plan& plan, const Call& call, const Bindings& bindings, std::uint32_t index) {
  const Schedule& schedule = plan.schedule;
  const auto& from = schedule.steps[index];
  const std::uint32_t count = std::uint32_t{from.sources} + from.destinations;
  Step step{};
  step.operands = static_cast<std::uint32_t>(base_of_.size());
  step.messages = static_cast<std::uint32_t>(messages_.size());
  step.deps = static_cast<std::uint32_t>(deps_.size());
  step.runs = static_cast<std::uint32_t>(runs_.size());
  step.sources = from.sources;
  step.destinations = from.destinations;
  step.finish = from.finish;
  step.premultiplied = -1;
  const Operand& measure = schedule.operands[bindings.measures[index]];
  std::size_t elements = 0;
  for (std::uint32_t i = 0; i < measure.blocks.size(); ++i) {
    const std::size_t block = elements_of(call.map, measure, i, schedule.blocks);
    if (block > call.chunk) return false;
    elements += block;
  }
  const std::size_t bytes = elements * size_of(call.type);
  for (const std::uint32_t dep : schedule.dependencies(from)) deps_.push_back(dep);
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t operand = from.operands + k, channel = plan.channel_of[operand];
    const Place place = schedule.operands[operand].place;
    const std::uint32_t base = place == Place::kPeer ? kCells + k : static_cast<std::uint32_t>(place);
    base_of_.push_back(base);
    if (call.premultiply && k < from.sources && place == Place::kInput)
      step.premultiplied = static_cast<std::int16_t>(k);
    if (channel == kNoChannel) continue;
    Endpoint* const endpoint = bindings.endpoints[channel];
    const bool direct = plan.mechanism_of[operand] != Mechanism::kStaged && bytes >= bindings.direct_bytes;
    if (direct || bytes > endpoint->capabilities().slot_bytes) return false;
    messages_.push_back({endpoint, channel, plan.channels[channel].lane, static_cast<std::uint16_t>(base)});
    ++(k < from.sources ? step.received : step.sent);
    if (last_on_[channel] != UINT32_MAX) deps_.push_back(last_on_[channel]);
    last_on_[channel] = index;
  }
  step.dep_count = static_cast<std::uint32_t>(deps_.size()) - step.deps;
  step.bytes = static_cast<std::uint32_t>(bytes);
  step.stamp = length_stamp(bytes);
  add_runs(plan, call, bindings, index);
  step.run_count = static_cast<std::uint32_t>(runs_.size()) - step.runs;
  steps_.push_back(step);
  return true;
}

// Blocks that follow each other at every operand become one run.
void StraightLine::add_runs(const Plan& plan, const Call& call, const Bindings& bindings,
                            std::uint32_t index) {
  const Schedule& schedule = plan.schedule;
  const auto& step = schedule.steps[index];
  const std::size_t element = size_of(call.type), first = runs_.size();
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  const Operand& measure = schedule.operands[bindings.measures[index]];
  std::size_t packed = 0;  // bytes of a message before this block
  for (std::uint32_t i = 0; i < measure.blocks.size(); ++i) {
    const std::size_t elements = elements_of(call.map, measure, i, schedule.blocks);
    if (elements == 0) continue;
    const std::size_t offsets = offsets_.size();
    bool follows = runs_.size() > first;
    for (std::uint32_t k = 0; k < count; ++k) {
      const Operand& operand = schedule.operands[step.operands + k];
      std::size_t offset = packed;
      if (operand.place == Place::kScratch)
        offset = nth_id(operand.blocks, i, schedule.scratch_blocks) * bindings.scratch_stride;
      else if (operand.place != Place::kPeer)
        offset = call.map.at(operand.place, nth_id(operand.blocks, i, schedule.blocks)).offset * element;
      offsets_.push_back(offset);
      follows = follows && offset == offsets_[runs_.back().offsets + k] + runs_.back().elements * element;
    }
    packed += elements * element;
    if (follows) {
      runs_.back().elements += elements;
      offsets_.resize(offsets);
    } else {
      runs_.push_back({elements, offsets});
    }
  }
}

void StraightLine::start(const std::byte* input, std::byte* output, std::byte* scratch,
                         std::uint32_t stamp) noexcept {
  bases_[static_cast<std::size_t>(Place::kInput)] = const_cast<std::byte*>(input);
  bases_[static_cast<std::size_t>(Place::kOutput)] = output;
  bases_[static_cast<std::size_t>(Place::kScratch)] = scratch;
  stamp_ = stamp;
  next_ = 0;
  mismatch_.channel = kNoChannel;
  for (Step& step : steps_) step.done = false;
}

// Once through the list does: a step lets only later ones run.
bool StraightLine::advance(CombineFunction combine) noexcept {
  bool any = false;
  for (std::size_t s = next_; s < steps_.size(); ++s) {
    Step& step = steps_[s];
    if (!step.done && try_step(step, combine)) step.done = any = true;
    if (step.done && s == next_) ++next_;
  }
  return any;
}

bool StraightLine::runnable(const Step& step) const noexcept {
  for (std::uint32_t d = step.deps; d < step.deps + step.dep_count; ++d)
    if (!steps_[deps_[d]].done) return false;
  return true;
}

bool StraightLine::try_step(Step& step, CombineFunction combine) noexcept {
  if (!runnable(step) || !acquire(step)) return false;
  if (step.run_count > 0) transfer(step, combine);
  hand_over(step);
  return true;
}

bool StraightLine::acquire(const Step& step) noexcept {
  const Message* message = messages_.data() + step.messages;
  const Message* const sent = message + step.received;
  const Message* const end = sent + step.sent;
  for (; message != sent; ++message) {
    const Arrival arrival = message->endpoint->peek(message->lane, 0);
    if (arrival.data == nullptr) return false;
    if (arrival.stamp != (stamp_ ^ step.stamp) || arrival.bytes != step.bytes) [[unlikely]] {
      mismatch_ = {message->channel, step.bytes, arrival};
      return false;
    }
    bases_[message->base] = const_cast<std::byte*>(arrival.data);
  }
  for (; message != end; ++message) {
    std::byte* const cell = message->endpoint->reserve(message->lane, 0);
    if (cell == nullptr) return false;
    bases_[message->base] = cell;
  }
  return true;
}

void StraightLine::transfer(const Step& step, CombineFunction combine) noexcept {
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  const std::uint32_t* const base_of = base_of_.data() + step.operands;
  call_.sources = {at_.data(), step.sources};
  call_.destinations = {at_.data() + step.sources, step.destinations};
  call_.premultiplied = step.premultiplied;
  call_.divisor = step.finish ? divisor_ : 1;
  for (std::uint32_t r = step.runs; r < step.runs + step.run_count; ++r) {
    const std::size_t* const offsets = offsets_.data() + runs_[r].offsets;
    // As numbers: in a group of messages the offsets are addresses, and the base is null.
    for (std::uint32_t k = 0; k < count; ++k)
      at_[k] =
          reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(bases_[base_of[k]]) + offsets[k]);
    call_.elements = runs_[r].elements;
    combine(call_);
  }
}

void StraightLine::hand_over(const Step& step) const noexcept {
  const Message* message = messages_.data() + step.messages;
  const Message* const sent = message + step.received;
  const Message* const end = sent + step.sent;
  for (; message != sent; ++message) message->endpoint->release(message->lane);
  for (; message != end; ++message) message->endpoint->commit(message->lane, step.bytes, stamp_ ^ step.stamp);
}

std::uint32_t StraightLine::waits_for(const std::function<bool(std::uint32_t)>& gone) const {
  for (const Step& step : steps_) {
    if (step.done || !runnable(step)) continue;
    for (std::uint32_t m = step.messages; m < step.messages + step.received + step.sent; ++m) {
      const Message& message = messages_[m];
      if (!gone(message.channel)) continue;
      const bool there = m < step.messages + step.received
                             ? message.endpoint->peek(message.lane, 0).data != nullptr
                             : message.endpoint->reserve(message.lane, 0) != nullptr;
      if (!there) return message.channel;
    }
  }
  return kNoChannel;
}

}  // namespace hansa
