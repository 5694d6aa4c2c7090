#include "executor/straight_line.hpp"

#include <cstring>

namespace hansa {

void StraightLine::start(const std::byte* input, std::byte* output, std::byte* scratch,
                         std::uint32_t stamp) noexcept {
  // As numbers: in a group of messages the offsets are addresses, and the bases are null.
  const std::uintptr_t bases[] = {reinterpret_cast<std::uintptr_t>(input),
                                  reinterpret_cast<std::uintptr_t>(output),
                                  reinterpret_cast<std::uintptr_t>(scratch)};
  for (const Local& local : locals_)
    operands_[local.operand] =
        reinterpret_cast<std::byte*>(bases[static_cast<std::size_t>(local.place)] + local.offset);
  for (Step& step : steps_) step.done = false;
  stamp_ = stamp;
  next_ = 0;
  mismatch_.channel = kNoChannel;
}

bool StraightLine::runnable(const Step& step) const noexcept {
  for (std::uint32_t d = step.deps; d < step.deps + step.dep_count; ++d)
    if (!steps_[deps_[d]].done) return false;
  return true;
}

inline void StraightLine::place(const Step& step, const Message& message, std::byte* cell) noexcept {
  *message.operand = cell;
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
    place(step, *message, const_cast<std::byte*>(arrival.data));
  }
  for (const Message* message = step.sent; message != step.end; ++message) {
    std::byte* const cell = message->endpoint->reserve(message->lane, 0);
    if (cell == nullptr) return false;
    place(step, *message, cell);
  }
  return true;
}

inline void StraightLine::transfer(const Step& step, CombineFunction combine) noexcept {
  if (step.copies) {
    const std::byte* const source = step.calls->sources[0];
    for (std::byte* const destination : step.calls->destinations)
      if (destination != source) std::memcpy(destination, source, step.bytes);
    return;
  }
  for (std::uint32_t c = 0; c < step.call_count; ++c) combine(step.calls[c]);
}

// Once through the list does: a step lets only later ones run.
bool StraightLine::advance(CombineFunction combine) noexcept {
  bool any = false;
  Step* const first = steps_.data();
  for (std::uint32_t s = next_; s != step_count_; ++s) {
    Step& step = first[s];
    if (!step.done) {
      const std::uint32_t stamp = stamp_ ^ step.stamp;
      if ((step.after > next_ && !runnable(step)) || !acquire(step, stamp)) continue;
      transfer(step, combine);
      for (const Message* message = step.received; message != step.sent; ++message)
        message->endpoint->release(message->lane);
      for (const Message* message = step.sent; message != step.end; ++message)
        message->endpoint->commit(message->lane, step.bytes, stamp);
      step.done = any = true;
    }
    if (s == next_) ++next_;
  }
  return any;
}

std::uint32_t StraightLine::waits_for(const std::function<bool(std::uint32_t)>& gone) const {
  for (const Step& step : steps_) {
    if (step.done || !runnable(step)) continue;
    for (const Message* message = step.received; message != step.end; ++message) {
      if (!gone(message->channel)) continue;
      const bool there = message < step.sent ? message->endpoint->peek(message->lane, 0).data != nullptr
                                             : message->endpoint->reserve(message->lane, 0) != nullptr;
      if (!there) return message->channel;
    }
  }
  return kNoChannel;
}

}  // namespace hansa
