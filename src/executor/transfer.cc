// One step's bytes: from where the sources lie to where the destinations lie, through the combine.
#include <fmt/format.h>

#include <algorithm>

#include "base/fault_point.hpp"
#include "executor/blocks.hpp"
#include "executor/execution.hpp"

namespace hansa {

void Execution::prepare(const Step& step, CombineCall& combine, std::size_t bytes) {
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  combine.type = call_.type;
  combine.op = call_.op;
  combine.sources = std::span(from_).first(step.sources);
  combine.factor = call_.factor;
  combine.divisor = step.finish ? call_.divisor : 1;
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t operand = step.operands + k, channel = plan_.channel_of[operand];
    if (channel == kNoChannel)
      walk_[k] = OperandCursor::local();
    else if (goes_direct(operand, bytes))
      walk_[k] = OperandCursor::remote(direct_.remote(operand).mapped);
    else
      walk_[k] = OperandCursor::message(endpoint_of_[channel], plan_.channels[channel].lane,
                                        plan_.channels[channel].outgoing);
    if (call_.premultiply && k < step.sources && plan_.schedule.operands[operand].place == Place::kInput)
      combine.premultiplied = static_cast<int>(k);
  }
}

void Execution::place(const Step& step, std::uint32_t block, std::uint32_t chunk) {
  const Schedule& schedule = plan_.schedule;
  for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
    const Operand& operand = schedule.operands[step.operands + k];
    if (operand.place == Place::kPeer) continue;
    if (operand.place == Place::kScratch) {
      const std::uint32_t slot = nth_id(operand.blocks, block, schedule.scratch_blocks) +
                                 chunk % plan_.window * schedule.scratch_blocks;
      walk_[k].place_at(scratch_ + slot * scratch_stride_);
      continue;
    }
    // As numbers: in a group of messages the offsets are addresses, and the base is null.
    const auto base =
        reinterpret_cast<std::uintptr_t>(operand.place == Place::kInput ? call_.input : call_.output);
    const Extent extent = call_.map.at(operand.place, nth_id(operand.blocks, block, schedule.blocks));
    walk_[k].place_at(
        reinterpret_cast<std::byte*>(base + (extent.offset + chunk * call_.chunk) * element_bytes_));
  }
}

Status Execution::wait(const Completion& completion, Rank peer) {
  while (completion.state == Completion::State::kPending && !ended_->load(std::memory_order_relaxed)) poll_();
  if (completion.state == Completion::State::kDone) return {};
  return Status(Code::kRemote,
                fmt::format("the memory of rank {} can no longer be reached: has the process ended, or "
                            "freed a buffer during the call?",
                            peer));
}

// Combines the next `bytes` of all operands. What cannot be mapped is copied in before and out after, by
// pieces that stay in the cache between.
void Execution::combine_run(const Step& step, CombineCall& combine, std::size_t bytes) {
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  std::size_t taken = 0;
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t operand = step.operands + k;
    const bool source = k < step.sources;
    std::byte* at = walk_[k].data();
    if (walk_[k].is_copied()) {
      at = pieces_ + k * Workspace::kPiece;
      if (source) {
        const Rank peer = plan_.schedule.operands[operand].peer;
        Completion done;
        endpoint_of_[plan_.channel_of[operand]]->get(direct_.remote(operand).descriptor, walk_[k].offset(),
                                                     {at, bytes}, done);
        if (Status status = wait(done, peer); !status.ok()) failure_ = status;
      }
    }
    if (source)
      from_[k] = at;
    else if (!walk_[k].is_idle())
      to_[taken++] = at;
  }
  combine.destinations = std::span(to_).first(taken);
  combine.elements = bytes / element_bytes_;
  if (taken > 0 && failure_.ok()) choose_(combine)(combine);
  for (std::uint32_t k = step.sources; k < count; ++k) {
    if (!walk_[k].is_copied()) continue;
    const std::uint32_t operand = step.operands + k;
    Completion done;
    endpoint_of_[plan_.channel_of[operand]]->put(direct_.remote(operand).descriptor, walk_[k].offset(),
                                                 {pieces_ + k * Workspace::kPiece, bytes}, done);
    if (Status status = wait(done, plan_.schedule.operands[operand].peer); !status.ok()) failure_ = status;
  }
  for (std::uint32_t k = 0; k < count; ++k) walk_[k].skip(bytes);
}

void Execution::transfer(std::uint32_t index, std::uint32_t chunk) {
  const Schedule& schedule = plan_.schedule;
  const Step& step = schedule.steps[index];
  const std::uint32_t count = std::uint32_t{step.sources} + step.destinations;
  const Operand& measure = schedule.operands[measure_of_[index]];
  CombineCall combine;
  prepare(step, combine, step_elements(index, chunk) * element_bytes_);
  // An offer is read by its takers themselves.
  for (std::uint32_t k = step.sources; k < count; ++k)
    if (plan_.mechanism_of[step.operands + k] == Mechanism::kPull && walk_[k].is_remote())
      walk_[k] = OperandCursor::idle();
  if (plan_.direct) (void)fault_point(Point::kCopyBegin);
  for (std::uint32_t i = 0; i < measure.blocks.size(); ++i) {
    std::size_t left = piece(block_elements(measure, i), chunk) * element_bytes_;
    if (left > 0) place(step, i, chunk);
    while (left > 0 && failure_.ok() && !ended_->load(std::memory_order_relaxed)) {
      std::size_t run = left;
      for (std::uint32_t k = 0; k < count; ++k) {
        walk_[k].settle();
        run = walk_[k].together(run);
      }
      combine_run(step, combine, run);
      left -= run;
      if (plan_.direct && left > 0) (void)fault_point(Point::kCopyHalf);
    }
  }
}

}  // namespace hansa
