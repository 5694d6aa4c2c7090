#include "executor/straight_line.hpp"

#include <cstring>

namespace hansa {

bool StraightLine::runnable(const Step& step) const noexcept {
  if (step.after <= next_) return true;
  for (std::uint32_t d = step.deps; d < step.deps + step.dep_count; ++d)
    if (const Step& dep = steps_[deps_[d]]; &dep >= next_ && dep.done != run_) return false;
  return true;
}

void StraightLine::place_rest(const Step& step, const Message& message, std::byte* cell) noexcept {
  for (std::uint32_t c = 1; c < step.call_count; ++c) {
    const CombineCall& before = step.calls[c - 1];
    message.operand[c * message.width] = cell += before.elements * size_of(before.type);
  }
}

inline bool StraightLine::acquire(const Step& step, std::uint32_t stamp) noexcept {
  for (const Message* message = step.received; message != step.sent; ++message) {
    const Arrival arrival = message->endpoint->peek(message->lane, 0);
    if (arrival.data == nullptr) return false;
    if (arrival.stamp != stamp || arrival.bytes != step.bytes) [[unlikely]] {
      mismatch_ = {message->channel, step.bytes, arrival};
      return false;
    }
    *message->operand = const_cast<std::byte*>(arrival.data);
    if (step.call_count > 1) [[unlikely]]
      place_rest(step, *message, *message->operand);
  }
  for (const Message* message = step.sent; message != step.end; ++message) {
    std::byte* const cell = message->endpoint->reserve(message->lane, 0);
    if (cell == nullptr) return false;
    *message->operand = cell;
    if (step.call_count > 1) [[unlikely]]
      place_rest(step, *message, cell);
  }
  return true;
}

inline void StraightLine::transfer(const Step& step, CombineFunction combine) noexcept {
  const CombineCall* call = step.calls;
  if (step.copies) {
    std::byte* const* const operands = call->destinations.data();  // behind the one source
    const std::byte* const source = operands[-1];
    std::size_t k = 0;
    do {
      if (operands[k] != source) std::memcpy(operands[k], source, step.bytes);
    } while (++k != call->destinations.size());
    return;
  }
  for (std::uint32_t c = step.call_count; c > 0; --c) combine(*call++);
}

inline bool StraightLine::run(const Step& step, CombineFunction combine) noexcept {
  const std::uint32_t stamp = stamp_ ^ step.stamp;
  if (!acquire(step, stamp)) return false;
  transfer(step, combine);
  for (const Message* message = step.received; message != step.sent; ++message)
    message->endpoint->release(message->lane);
  for (const Message* message = step.sent; message != step.end; ++message)
    message->endpoint->commit(message->lane, step.bytes, stamp);
  return true;
}

// Once through the list does: a step lets only later ones run.
bool StraightLine::advance(CombineFunction combine) noexcept {
  Step* next = next_;
  while (next != end_ && (next->done == run_ || run(*next, combine))) ++next;
  bool any = next != next_;
  next_ = next;
  for (Step* step = next; step != end_; ++step) {
    if (step->done == run_ || !runnable(*step) || !run(*step, combine)) continue;
    step->done = run_;
    any = true;
  }
  return any;
}

std::uint32_t StraightLine::waits_for(const std::function<bool(std::uint32_t)>& gone) const {
  for (const Step* step = next_; step != end_; ++step) {
    if (step->done == run_ || !runnable(*step)) continue;
    for (const Message* message = step->received; message != step->end; ++message) {
      if (!gone(message->channel)) continue;
      const bool there = message < step->sent ? message->endpoint->peek(message->lane, 0).data != nullptr
                                              : message->endpoint->reserve(message->lane, 0) != nullptr;
      if (!there) return message->channel;
    }
  }
  return kNoChannel;
}

}  // namespace hansa
