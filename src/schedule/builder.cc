// Builder and expand(): schedules from single steps, and back to single steps.
#include <algorithm>
#include <cassert>

#include "hansa/schedule.hpp"
#include "schedule/conflict.hpp"

namespace hansa {

Builder::Builder(Rank ranks, std::uint32_t blocks, std::uint32_t scratch_blocks) {
  schedule_.ranks = ranks;
  schedule_.blocks = blocks;
  schedule_.scratch_blocks = scratch_blocks;
}

std::uint32_t Builder::combine(std::span<const Operand> sources, std::span<const Operand> destinations) {
  assert(!sources.empty() && !destinations.empty());
  Step step;
  step.operands = static_cast<std::uint32_t>(schedule_.operands.size());
  step.deps = static_cast<std::uint32_t>(schedule_.deps.size());
  step.sources = static_cast<std::uint16_t>(sources.size());
  step.destinations = static_cast<std::uint16_t>(destinations.size());
  for (const auto operands : {sources, destinations})
    for (const Operand& operand : operands) {
      schedule_.operands.push_back(operand);
      if (operand.place == Place::kPeer)
        schedule_.lanes = std::max<std::uint16_t>(schedule_.lanes, operand.lane + 1);
    }
  schedule_.steps.push_back(step);
  const auto index = static_cast<std::uint32_t>(schedule_.steps.size() - 1);
  if (!in_repeat_)
    for (std::uint32_t earlier = 0; earlier < index; ++earlier)
      if (conflict(schedule_, schedule_.steps[earlier], schedule_.steps[index])) after(earlier);
  return index;
}

Builder& Builder::finish() {
  schedule_.steps.back().finish = true;
  return *this;
}

Builder& Builder::after(std::uint32_t step) {
  Step& last = schedule_.steps.back();
  const auto known = schedule_.dependencies(last);
  if (std::find(known.begin(), known.end(), step) == known.end()) {
    schedule_.deps.push_back(step);
    ++last.dep_count;
  }
  return *this;
}

void Builder::limit_messages(std::uint32_t blocks) { schedule_.largest_message = std::max(blocks, 1u); }

void Builder::begin_repeat(std::uint32_t times, std::int32_t block_shift, std::int32_t peer_shift) {
  assert(!in_repeat_);
  in_repeat_ = true;
  schedule_.repeats.push_back(
      {static_cast<std::uint32_t>(schedule_.steps.size()), 0, times, block_shift, peer_shift});
}

void Builder::end_repeat() {
  assert(in_repeat_);
  in_repeat_ = false;
  Repeat& repeat = schedule_.repeats.back();
  repeat.steps = static_cast<std::uint32_t>(schedule_.steps.size()) - repeat.first_step;
}

Schedule Builder::build() && { return std::move(schedule_); }

namespace {

std::uint32_t shifted(std::uint32_t value, std::int64_t shift, std::uint32_t modulus) {
  const std::int64_t m = modulus;
  return static_cast<std::uint32_t>(((static_cast<std::int64_t>(value) + shift) % m + m) % m);
}

// Writes schedules out one step at a time, remembering where every round of a step went.
class Expansion {
 public:
  explicit Expansion(const Schedule& from) : from_(from), rounds_(from.steps.size()) {
    to_.ranks = from.ranks;
    to_.blocks = from.blocks;
    to_.scratch_blocks = from.scratch_blocks;
    to_.lanes = from.lanes;
    to_.largest_message = from.largest_message;
  }

  Schedule run() && {
    std::uint32_t next = 0;
    for (const Repeat& repeat : from_.repeats) {
      while (next < repeat.first_step) copy(next++, {}, 0);
      for (std::uint32_t round = 0; round < repeat.times; ++round)
        for (std::uint32_t s = 0; s < repeat.steps; ++s) copy(repeat.first_step + s, repeat, round);
      next = repeat.first_step + repeat.steps;
    }
    while (next < from_.steps.size()) copy(next++, {}, 0);
    return std::move(to_);
  }

 private:
  void copy(std::uint32_t index, const Repeat& repeat, std::uint32_t round) {
    Step step = from_.steps[index];
    const bool inside = repeat.steps > 0;
    const auto first = static_cast<std::uint32_t>(to_.operands.size());
    for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
      Operand operand = from_.operands[step.operands + k];
      if (inside && operand.place != Place::kScratch)
        operand.blocks.first =
            shifted(operand.blocks.first, std::int64_t{repeat.block_shift} * round, from_.blocks);
      if (inside && operand.place == Place::kPeer)
        operand.peer = static_cast<Rank>(shifted(static_cast<std::uint32_t>(operand.peer),
                                                 std::int64_t{repeat.peer_shift} * round,
                                                 static_cast<std::uint32_t>(from_.ranks)));
      to_.operands.push_back(operand);
    }
    const auto first_dep = static_cast<std::uint32_t>(to_.deps.size());
    for (const std::uint32_t dep : from_.dependencies(from_.steps[index])) {
      const bool body = inside && dep >= repeat.first_step && dep < repeat.first_step + repeat.steps;
      if (!body)
        to_.deps.insert(to_.deps.end(), rounds_[dep].begin(), rounds_[dep].end());
      else if (dep < index)
        to_.deps.push_back(rounds_[dep].back());
      else if (round > 0)
        to_.deps.push_back(rounds_[dep][round - 1]);
    }
    step.operands = first;
    step.deps = first_dep;
    step.dep_count = static_cast<std::uint16_t>(to_.deps.size() - first_dep);
    rounds_[index].push_back(static_cast<std::uint32_t>(to_.steps.size()));
    to_.steps.push_back(step);
  }

  const Schedule& from_;
  Schedule to_;
  std::vector<std::vector<std::uint32_t>> rounds_;
};

}  // namespace

Schedule expand(const Schedule& schedule) {
  return schedule.repeats.empty() ? schedule : Expansion(schedule).run();
}

}  // namespace hansa
