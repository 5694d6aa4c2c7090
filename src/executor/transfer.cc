// One step's bytes: from where the sources lie to where the destinations lie, through the combine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/fault_point.hpp"
#include "base/wait.hpp"
#include "executor/blocks.hpp"
#include "executor/execution.hpp"

namespace hansa {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

void Execution::prepare(std::uint32_t index, std::uint32_t chunk, CombineCall& combine, std::size_t bytes) {
  const Step& step = plan_.schedule.steps[index];
  const Audience& audience = audience_of_[index];
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  combine.type = call_.type;
  combine.op = call_.op;
  combine.sources = std::span(from_).first(step.sources);
  combine.divisor = step.finish ? call_.divisor : 1;
  bool first_post = true;
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t operand = step.operands + k, channel = plan_.channel_of[operand];
    if (channel == kNoChannel)
      walk_[k] = OperandCursor::local();
    else if (goes_direct(operand, bytes))
      walk_[k] = OperandCursor::remote(direct_.remote(operand).mapped, Workspace::kPiece);
    else if (freight_.carries(channel, chunk, bytes))
      walk_[k] =
          plan_.channels[channel].outgoing ? OperandCursor::idle() : OperandCursor::run(landed(channel));
    else if (posted_ && plan_.channels[channel].outgoing)
      walk_[k] = std::exchange(first_post, false)
                     ? OperandCursor::post(audience.billboard, audience.slot_bytes)
                     : OperandCursor::idle();
    else
      walk_[k] = OperandCursor::message(endpoint_of_[channel], plan_.channels[channel].lane,
                                        plan_.channels[channel].outgoing);
    if (!call_.premultiply || k >= step.sources) continue;
    factors_[k] = walk_[k].is_remote() ? direct_.remote(operand).factor
                                       : call_.factor_of(plan_.schedule.operands[operand].place);
    if (factors_[k].scales()) combine.factors = std::span(factors_).first(step.sources);
  }
}

std::byte* Execution::address_of(const Operand& operand, std::uint32_t block, std::uint32_t chunk) const {
  const Schedule& schedule = plan_.schedule;
  if (operand.place == Place::kScratch) {
    const std::uint32_t slot = nth_id(operand.blocks, block, schedule.scratch_blocks) +
                               chunk % plan_.window * schedule.scratch_blocks;
    return scratch_ + slot * scratch_stride_;
  }
  // As numbers: in a group of messages the offsets are addresses, and the base is null.
  const auto base =
      reinterpret_cast<std::uintptr_t>(operand.place == Place::kInput ? call_.input : call_.output);
  const Extent extent = call_.map.at(operand.place, nth_id(operand.blocks, block, schedule.blocks));
  return reinterpret_cast<std::byte*>(base + (extent.offset + chunk * call_.chunk) * element_bytes_);
}

void Execution::place(const Step& step, std::uint32_t block, std::uint32_t chunk) {
  const Schedule& schedule = plan_.schedule;
  for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
    const Operand& operand = schedule.operands[step.operands + k];
    if (operand.place != Place::kPeer) walk_[k].place_at(address_of(operand, block, chunk));
  }
}

void Execution::begin_fetch(std::uint32_t k, std::uint32_t operand, std::size_t offset, Bytes into) {
  copies_[k] = {.attended = alone_};
  endpoint_of_[plan_.channel_of[operand]]->get(direct_.remote(operand).descriptor, offset, into, copies_[k]);
}

void Execution::deliver(std::uint32_t k, std::uint32_t operand, std::size_t offset, BytesView from) {
  copies_[k] = {.attended = alone_};
  endpoint_of_[plan_.channel_of[operand]]->put(direct_.remote(operand).descriptor, offset, from, copies_[k]);
  finish_copy(k, operand);
}

void Execution::finish_copy(std::uint32_t k, std::uint32_t operand) {
  const Completion& copy = copies_[k];
  Waiter waiter(false);
  copies_with_ = plan_.schedule.operands[operand].peer;
  while (copy.state == Completion::State::kPending && !ended_->load(std::memory_order_relaxed)) {
    if (poll_())
      waiter.reset();
    else
      waiter.idle();
  }
  if (copy.state != Completion::State::kDone)
    failure_ = Status(Code::kRemote,
                      fmt::format("the memory of rank {} can no longer be reached: has the process ended, or "
                                  "freed a buffer during the call?",
                                  copies_with_));
  copies_with_ = -1;
}

// Copies the sources of the next `bytes` in that cannot be mapped, and begins with those of the `following`.
void Execution::fetch_sources(const Step& step, std::size_t bytes, std::size_t following) {
  const auto room = [&](std::uint32_t k, bool second) {
    return pieces_ + (2 * std::size_t{k} + second) * Workspace::kPiece;
  };
  for (std::uint32_t k = 0; k < step.sources && failure_.ok(); ++k) {
    from_[k] = walk_[k].data();
    if (!walk_[k].is_copied()) continue;
    const std::uint32_t operand = step.operands + k;
    std::byte* const here = room(k, second_piece_);
    if (!fetched_ahead_) begin_fetch(k, operand, walk_[k].offset(), {here, bytes});
    finish_copy(k, operand);
    from_[k] = here;
  }
  second_piece_ = !second_piece_;
  fetched_ahead_ = following > 0;
  for (std::uint32_t k = 0; k < step.sources && fetched_ahead_ && failure_.ok(); ++k)
    if (walk_[k].is_copied())
      begin_fetch(k, step.operands + k, walk_[k].offset() + bytes, {room(k, second_piece_), following});
}

// Combines the next `bytes` of all operands. What cannot be mapped is copied in before and out after, by
// pieces that stay in the cache between.
void Execution::combine_run(const Step& step, CombineCall& combine, std::size_t bytes,
                            std::size_t following) {
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  fetch_sources(step, bytes, following);
  std::size_t taken = 0;
  for (std::uint32_t k = step.sources; k < count; ++k)
    if (!walk_[k].is_idle() && !walk_[k].is_copied()) to_[taken++] = walk_[k].data();
  if (taken == 0) to_[taken++] = pieces_ + 2 * std::size_t{step.sources} * Workspace::kPiece;
  combine.destinations = std::span(to_).first(taken);
  combine.elements = bytes / element_bytes_;
  if (failure_.ok()) choose_(combine)(combine);
  for (std::uint32_t k = step.sources; k < count && failure_.ok(); ++k)
    if (walk_[k].is_copied()) deliver(k, step.operands + k, walk_[k].offset(), {to_[0], bytes});
  for (std::uint32_t k = 0; k < count; ++k) walk_[k].skip(bytes);
}

bool Execution::copies_straight(const Step& step, const CombineCall& combine) const {
  if (combine.sources.size() != 1 || !combine.factors.empty() || combine.divisor > 1) return false;
  if (!walk_[0].is_copied()) return true;
  for (std::uint32_t k = 1; k <= step.destinations; ++k)
    if (!walk_[k].is_idle() && !walk_[k].is_copied()) return true;
  return false;
}

void Execution::copy_run(const Step& step, const CombineCall& combine, std::size_t bytes) {
  CombineCall copy = combine;
  copy.streams = -1;
  from_[0] = walk_[0].data();
  std::size_t taken = 0;
  int written = 0;
  for (std::uint32_t k = 1; k <= step.destinations; ++k) {
    if (walk_[k].is_idle() || walk_[k].is_copied()) continue;
    const bool streams = written++ == combine.streams;
    if (walk_[k].data() == from_[0]) continue;  // in place, the root of a broadcast has the result already
    if (streams) copy.streams = static_cast<int>(taken);
    to_[taken++] = walk_[k].data();
  }
  if (walk_[0].is_copied()) {
    begin_fetch(0, step.operands, walk_[0].offset(), {to_[0], bytes});
    finish_copy(0, step.operands);
    from_[0] = to_[0];
  }
  for (std::uint32_t k = 1; k <= step.destinations && failure_.ok(); ++k)
    if (walk_[k].is_copied()) deliver(k, step.operands + k, walk_[k].offset(), {from_[0], bytes});
  copy.destinations = std::span(to_).first(taken);
  copy.elements = bytes / element_bytes_;
  if (taken > 0 && failure_.ok()) choose_(copy)(copy);
  for (std::uint32_t k = 0; k <= step.destinations; ++k) walk_[k].skip(bytes);
}

std::size_t Execution::message_streams_from(std::uint32_t index, std::uint32_t k) const {
  if (posted_) return audience_of_[index].billboard->streams_from();
  return endpoint_of_[plan_.channel_of[plan_.schedule.steps[index].operands + k]]
      ->capabilities()
      .streams_from;
}

// Of the destinations that are written here, the first that had better be written past the caches; -1 if
// none.
int Execution::streamed_destination(std::uint32_t index, std::size_t bytes) const {
  const Step& step = plan_.schedule.steps[index];
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  const std::size_t run = bytes / plan_.schedule.operands[measure_of_[index]].blocks.size();
  int written = 0, memory = -1;
  bool copied = false;
  for (std::uint32_t k = step.sources; k < count; ++k) {
    copied = copied || walk_[k].is_copied();
    if (walk_[k].is_idle() || walk_[k].is_copied()) continue;
    if (walk_[k].is_message() && run >= Capabilities::kLeastStreamed &&
        bytes >= message_streams_from(index, k))
      return written;
    if (walk_[k].is_depot() && workspace_->depot_stores().streams()) return written;
    if (!walk_[k].is_message() && !walk_[k].is_depot() && memory < 0) memory = written;
    ++written;
  }
  // What the kernel copies next has to be in the cache.
  const bool large = plan_.direct && !copied && total_[index] * element_bytes_ * count >= call_.streams_from;
  return large ? memory : -1;
}

// Offers are read by their takers themselves, from the user's memory or from the depot, where one copy serves
// all.
bool Execution::route_direct(std::uint32_t index) {
  const Step& step = plan_.schedule.steps[index];
  bool writes = false, deposited = false;
  for (std::uint32_t k = step.sources; k < std::uint32_t{step.sources} + step.destinations; ++k) {
    const std::uint32_t operand = step.operands + k;
    if (walk_[k].is_remote() && direct_.remote(operand).route == Route::kDepot) {
      walk_[k] = deposited ? OperandCursor::idle() : OperandCursor::depot(depot_of(index));
      deposited = true;
    } else if (walk_[k].is_remote() && plan_.mechanism_of[operand] == Mechanism::kPull) {
      walk_[k] = OperandCursor::idle();
    }
    writes = writes || !walk_[k].is_idle();
  }
  return writes;
}

void Execution::transfer(std::uint32_t index, std::uint32_t chunk) {
  const Schedule& schedule = plan_.schedule;
  const Step& step = schedule.steps[index];
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  const Operand& measure = schedule.operands[measure_of_[index]];
  CombineCall combine;
  const std::size_t bytes = step_elements(index, chunk) * element_bytes_;
  prepare(index, chunk, combine, bytes);
  if (freight_.active()) route_freight(index, chunk, combine, bytes);
  const bool writes = route_direct(index);
  if (!writes) return;
  if (plan_.direct) (void)fault_point(Point::kCopyBegin);
  const bool straight = copies_straight(step, combine);
  fetched_ahead_ = false;
  for (std::uint32_t k = 0; straight && k < count; ++k) walk_[k].widen();
  combine.streams = streamed_destination(index, bytes);
  bool whole = true;  // nothing but memory: pieces are as long as can be foreseen
  bool deposits = false;
  int written = 0;
  for (std::uint32_t k = 0; k < count; ++k) {
    whole = whole && !walk_[k].is_message();
    deposits = deposits || walk_[k].is_depot();
    written += k >= step.sources && !walk_[k].is_idle() ? 1 : 0;
  }
  StoreGauge& stores = workspace_->depot_stores();
  const bool timed = deposits && straight && !walk_[0].is_remote() && stores.wants_time();
  const auto begin = timed ? Clock::now() : Clock::time_point();
  for (std::uint32_t i = 0; i < measure.blocks.size(); ++i) {
    std::size_t left = piece(block_elements(measure, i), chunk) * element_bytes_;
    if (left > 0) place(step, i, chunk);
    while (left > 0 && failure_.ok() && !ended_->load(std::memory_order_relaxed)) {
      std::size_t run = left;
      for (std::uint32_t k = 0; k < count; ++k) {
        walk_[k].settle();
        run = walk_[k].together(run);
      }
      left -= run;
      if (straight)
        copy_run(step, combine, run);
      else
        combine_run(step, combine, run, whole ? std::min(left, run) : 0);
      if (plan_.direct && left > 0) (void)fault_point(Point::kCopyHalf);
    }
  }
  if (deposits) stores.filled(bytes, timed ? (Clock::now() - begin) / written : Clock::duration::zero());
}

}  // namespace hansa
