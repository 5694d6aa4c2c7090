// How a straight line comes to be.
#include <algorithm>

#include "executor/blocks.hpp"
#include "executor/straight_line.hpp"

namespace hansa {

class StraightLine::Binder {
 public:
  Binder(StraightLine& line, const Plan& plan, const Call& call, const Bindings& bindings)
      : line_(line), plan_(plan), call_(call), bindings_(bindings), element_(size_of(call.type)) {}

  // False if the step does not fit the form.
  bool add(std::uint32_t index);

 private:
  std::size_t elements(std::uint32_t index, std::uint32_t block) const {
    const Schedule& schedule = plan_.schedule;
    return elements_of(call_.map, schedule.operands[bindings_.measures[index]], block, schedule.blocks);
  }
  bool add_messages(std::size_t bytes, std::uint32_t index);
  void add_parts(Step& step, std::uint32_t index);
  void add_part(std::uint32_t index, std::uint32_t block, std::size_t elements);
  void add_operand(const Factor& factor) {
    line_.operands_.push_back(nullptr);
    if (call_.premultiply) line_.factors_.push_back(factor);
  }
  bool extends_part(std::uint32_t index, std::uint32_t block) const;
  // Bytes from where an operand in memory counts from.
  std::size_t offset(const Operand& operand, std::uint32_t block) const;

  StraightLine& line_;
  const Plan& plan_;
  const Call& call_;
  const Bindings& bindings_;
  const std::size_t element_;
};

bool StraightLine::Binder::add(std::uint32_t index) {
  const auto& from = plan_.schedule.steps[index];
  Step step{};
  step.deps = static_cast<std::uint32_t>(line_.deps_.size());
  std::size_t sum = 0;
  const std::uint32_t blocks = plan_.schedule.operands[bindings_.measures[index]].blocks.size();
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const std::size_t block = elements(index, i);
    if (block > call_.chunk) return false;
    sum += block;
  }
  if (sum * element_ > UINT32_MAX) return false;
  step.bytes = static_cast<std::uint32_t>(sum * element_);
  step.stamp = length_stamp(step.bytes);
  for (const std::uint32_t dep : plan_.schedule.dependencies(from)) line_.deps_.push_back(dep);
  if (!add_messages(step.bytes, index)) return false;
  if (bindings_.audiences[index].gets(step.bytes)) step.audience = &bindings_.audiences[index];
  step.dep_count = static_cast<std::uint16_t>(line_.deps_.size() - step.deps);
  add_parts(step, index);
  line_.steps_.push_back(step);
  return true;
}

bool StraightLine::Binder::add_messages(std::size_t bytes, std::uint32_t index) {
  const auto& from = plan_.schedule.steps[index];
  const std::uint32_t width = std::uint32_t{from.sources} + from.destinations;
  for (std::uint32_t operand = from.operands; operand < from.operands + width; ++operand) {
    const std::uint32_t channel = plan_.channel_of[operand];
    if (channel == kNoChannel) continue;
    Endpoint* const endpoint = bindings_.endpoints[channel];
    const bool direct = plan_.mechanism_of[operand] != Mechanism::kStaged && bytes >= bindings_.direct_bytes;
    if (direct || bytes > endpoint->capabilities().slot_bytes) return false;
    line_.messages_.push_back(
        {endpoint, nullptr, channel, plan_.channels[channel].lane, static_cast<std::uint16_t>(width)});
    std::uint32_t& last = line_.last_on_[channel];
    if (last != UINT32_MAX) line_.deps_.push_back(last);
    last = index;
  }
  return true;
}

// Blocks that follow each other at every operand become one part.
void StraightLine::Binder::add_parts(Step& step, std::uint32_t index) {
  const auto& from = plan_.schedule.steps[index];
  const std::uint32_t blocks = plan_.schedule.operands[bindings_.measures[index]].blocks.size();
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const std::size_t count = elements(index, i);
    if (count == 0) continue;
    if (step.part_count > 0 && extends_part(index, i)) {
      line_.parts_.back().call.elements += count;
    } else {
      add_part(index, i, count);
      ++step.part_count;
    }
  }
  if (step.part_count == 0)  // messages without bytes have cells, too
    for (int k = 0; k < from.sources + from.destinations; ++k) add_operand({});
}

void StraightLine::Binder::add_part(std::uint32_t index, std::uint32_t block, std::size_t elements) {
  const auto& from = plan_.schedule.steps[index];
  CombineCall combine{.type = call_.type, .op = call_.op, .elements = elements};
  std::uint16_t kept = 0;
  for (std::uint32_t k = 0; k < std::uint32_t{from.sources} + from.destinations; ++k) {
    const Operand& operand = plan_.schedule.operands[from.operands + k];
    if (operand.place != Place::kPeer) {
      line_.locals_.push_back({nullptr, operand.place, offset(operand, block)});
      if (k >= from.sources) ++kept;
    }
    add_operand(call_.factor_of(operand.place));
  }
  if (from.finish) combine.divisor = call_.divisor;
  line_.parts_.push_back(
      {nullptr, combine, nullptr, kept < from.destinations ? kept : -1, kept, nullptr, nullptr});
}

bool StraightLine::Binder::extends_part(std::uint32_t index, std::uint32_t block) const {
  const auto& from = plan_.schedule.steps[index];
  std::size_t local = line_.locals_.size();
  for (std::uint32_t k = std::uint32_t{from.sources} + from.destinations; k-- > 0;) {
    const Operand& operand = plan_.schedule.operands[from.operands + k];
    if (operand.place == Place::kPeer) continue;
    if (offset(operand, block) !=
        line_.locals_[--local].offset + line_.parts_.back().call.elements * element_)
      return false;
  }
  return true;
}

std::size_t StraightLine::Binder::offset(const Operand& operand, std::uint32_t block) const {
  if (operand.place == Place::kScratch)
    return nth_id(operand.blocks, block, plan_.schedule.scratch_blocks) * bindings_.scratch_stride;
  const std::uint32_t id = nth_id(operand.blocks, block, plan_.schedule.blocks);
  return call_.map.at(operand.place, id).offset * element_;
}

void StraightLine::bind(const Plan& plan, const Call& call, const Bindings& bindings) {
  steps_.clear();
  messages_.clear();
  deps_.clear();
  parts_.clear();
  operands_.clear();
  factors_.clear();
  locals_.clear();
  last_on_.assign(plan.channels.size(), UINT32_MAX);
  Binder binder(*this, plan, call, bindings);
  for (std::uint32_t s = 0; s < plan.schedule.steps.size(); ++s)
    if (!binder.add(s)) return steps_.clear();
  end_ = steps_.data() + steps_.size();
  run_ = 0;
  set_pointers(plan);
  Part* part = parts_.data();
  for (const Step& step : steps_)
    for (; part != step.parts_end; ++part) choose_kernels(*part, step.audience != nullptr, bindings.choose);
  place_locals(nullptr, nullptr, nullptr);
}

void StraightLine::choose_kernels(Part& part, bool posts, CombineChooser choose) {
  CombineCall call = part.call;
  if (call.elements * size_of(call.type) < Capabilities::kLeastStreamed) part.cell = -1;
  part.combine = choose(call);
  call.streams = part.cell;
  part.streamed = choose(call);
  if (!posts) return;
  call.destinations = call.destinations.first(part.kept + 1u);
  part.posted_streamed = choose(call);
  call.streams = -1;
  part.posted = choose(call);
}

void StraightLine::set_pointers(const Plan& plan) {
  std::byte** at = operands_.data();
  Part* part = parts_.data();
  Message* message = messages_.data();
  Local* local = locals_.data();
  for (std::uint32_t s = 0; s < steps_.size(); ++s) {
    Step& step = steps_[s];
    const auto& from = plan.schedule.steps[s];
    const std::uint32_t width = std::uint32_t{from.sources} + from.destinations;
    step.after = steps_.data();
    for (std::uint32_t d = step.deps; d < step.deps + step.dep_count; ++d)
      step.after = std::max<const Step*>(step.after, steps_.data() + deps_[d] + 1);
    step.received = step.sent = message;
    // Destinations that are no peer's come first.
    const auto is_local = [&](std::uint32_t k) { return plan.channel_of[from.operands + k] == kNoChannel; };
    std::uint32_t place = from.sources;
    for (std::uint32_t k = from.sources; k < width; ++k) place += is_local(k) ? 1 : 0;
    for (std::uint32_t k = 0; k < width; ++k) {
      if (is_local(k)) continue;
      message++->operand = at + (k < from.sources ? k : place++);
      if (k < from.sources) step.sent = message;
    }
    step.end = message;
    if (step.audience != nullptr)
      step.shape = Shape::kPosts;
    else if (step.bytes >= Capabilities::kLeastStreamed)
      step.shape = Shape::kLarge;
    else if (step.part_count == 1 && step.end - step.received == 1)
      step.shape = step.sent == step.received ? Shape::kSend : Shape::kReceive;
    step.parts = part;
    step.parts_end = part + step.part_count;
    for (; part != step.parts_end; ++part, at += width) {
      part->call.sources = {at, from.sources};
      if (!factors_.empty()) part->call.factors = {factors_.data() + (at - operands_.data()), from.sources};
      part->call.destinations = {at + from.sources, from.destinations};
      place = from.sources;
      for (std::uint32_t k = 0; k < width; ++k)
        if (is_local(k)) local++->operand = at + (k < from.sources ? k : place++);
    }
    if (step.part_count == 0) at += width;
  }
}

}  // namespace hansa
