#include "executor/straight_line.hpp"

namespace hansa {

bool StraightLine::runnable(const Step& step) const noexcept {
  if (step.after <= next_) return true;
  for (std::uint32_t d = step.deps; d < step.deps + step.dep_count; ++d)
    if (const Step& dep = steps_[deps_[d]]; &dep >= next_ && dep.done != run_) return false;
  return true;
}

[[gnu::noinline]] void StraightLine::place_locals(const std::byte* input, std::byte* output,
                                                  std::byte* scratch) noexcept {
  input_ = input;
  output_ = output;
  scratch_ = scratch;
  // As numbers: in a group of messages the offsets are addresses, and the bases are null.
  const std::uintptr_t bases[] = {reinterpret_cast<std::uintptr_t>(input),
                                  reinterpret_cast<std::uintptr_t>(output),
                                  reinterpret_cast<std::uintptr_t>(scratch)};
  for (const Local& local : locals_)
    *local.operand = reinterpret_cast<std::byte*>(bases[static_cast<int>(local.place)] + local.offset);
}

// In a cell one part follows the other.
[[gnu::noinline]] void StraightLine::place_rest(const Step& step) noexcept {
  for (const Message* message = step.received; message != step.end; ++message) {
    std::byte** operand = message->operand;
    for (const Part* part = step.parts; part + 1 != step.parts_end; ++part, operand += message->width)
      operand[message->width] = *operand + part->call.elements * size_of(part->call.type);
  }
}

bool StraightLine::streams(const Step& step) noexcept {
  for (const Message* message = step.sent; message != step.end; ++message)
    if (step.bytes >= message->endpoint->capabilities().streams_from) return true;
  return false;
}

void StraightLine::combine_streamed(const Part& part) noexcept {
  CombineCall call = part.call;
  call.streams = part.cell;
  part.streamed(call);
}

// The first place of a peer's is the one that all of them read.
void StraightLine::combine_posted(const Part& part, bool streamed) noexcept {
  CombineCall call = part.call;
  call.destinations = call.destinations.first(part.kept + 1u);
  if (streamed) call.streams = part.cell;
  (streamed ? part.posted_streamed : part.posted)(call);
}

// Cells first, so that a step which cannot run leaves nothing behind.
template <StraightLine::Shape kShape>
inline bool StraightLine::run_as(const Step& step) noexcept {
  const Message* const received = step.received;
  const Part* const parts = step.parts;
  const Message* const sent = kShape == Shape::kSend      ? received
                              : kShape == Shape::kReceive ? received + 1
                                                          : step.sent;
  constexpr bool kAny = kShape != Shape::kSend && kShape != Shape::kReceive;
  const Message* const end = kAny ? step.end : received + 1;
  const Part* const parts_end = kAny ? step.parts_end : parts + 1;
  const std::uint32_t stamp = stamp_ ^ step.stamp;
  for (const Message* message = received; message != sent; ++message) {
    const Arrival arrival = message->endpoint->peek(message->lane, 0);
    if (arrival.data == nullptr) return false;
    if (arrival.stamp != stamp || arrival.bytes != step.bytes) [[unlikely]] {
      mismatch_ = {message->channel, step.bytes, arrival};
      return false;
    }
    *message->operand = const_cast<std::byte*>(arrival.data);
  }
  for (const Message* message = sent; message != end; ++message) {
    std::byte* const cell = message->endpoint->reserve(message->lane, 0);
    if (cell == nullptr) return false;
    *message->operand = cell;
  }
  // While somebody still reads what was posted long ago, each gets its own.
  std::byte* const post = kShape == Shape::kPosts ? step.audience->billboard->reserve(0) : nullptr;
  if (post != nullptr) *sent->operand = post;
  if (kAny && step.part_count > 1) place_rest(step);
  if (post != nullptr) {
    const bool streamed = step.bytes >= step.audience->billboard->streams_from();
    for (const Part* part = parts; part != parts_end; ++part) combine_posted(*part, streamed);
  } else if ((kShape == Shape::kLarge || kShape == Shape::kPosts) && streams(step))
    for (const Part* part = parts; part != parts_end; ++part) combine_streamed(*part);
  else
    for (const Part* part = parts; part != parts_end; ++part) part->combine(part->call);
  for (const Message* message = received; message != sent; ++message)
    message->endpoint->release(message->lane);
  if (post != nullptr) {
    step.audience->billboard->commit(step.audience->readers, step.bytes, stamp);
    return true;
  }
  for (const Message* message = sent; message != end; ++message)
    message->endpoint->commit(message->lane, step.bytes, stamp);
  return true;
}

[[gnu::noinline]] bool StraightLine::run_long(const Step& step) noexcept {
  return step.shape == Shape::kPosts ? run_as<Shape::kPosts>(step) : run_as<Shape::kLarge>(step);
}

inline bool StraightLine::run(const Step& step) noexcept {
  switch (step.shape) {
    case Shape::kSend:
      return run_as<Shape::kSend>(step);
    case Shape::kReceive:
      return run_as<Shape::kReceive>(step);
    case Shape::kAny:
      return run_as<Shape::kAny>(step);
    default:
      return run_long(step);
  }
}

bool StraightLine::finish() noexcept {
  Step* step = next_;
  while (step->done == run_ || run(*step))
    if (++step == end_) break;
  next_ = step;
  return step == end_;
}

// Once through the list does: a step lets only later ones run. The one that finish() stopped at may run now;
// the next time does for it.
bool StraightLine::advance() noexcept {
  const Step* const before = next_;
  if (finish()) return true;
  bool any = next_ != before;
  for (Step* step = next_ + 1; step != end_; ++step) {
    if (step->done == run_ || !runnable(*step) || !run(*step)) continue;
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
