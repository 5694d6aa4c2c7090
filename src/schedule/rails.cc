// Parts that act as one rank, on several rails at once.
#include <algorithm>
#include <cassert>

#include "hansa/schedule.hpp"
#include "schedule/assembly.hpp"
#include "schedule/conflict.hpp"
#include "schedule/ids.hpp"

namespace hansa {
namespace {

bool holds(std::span<const Rank> ranks, Rank rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

// The one operand at that place, or null.
const Operand* at_place(std::span<const Operand> operands, Place place) {
  const auto found =
      std::find_if(operands.begin(), operands.end(), [&](const Operand& o) { return o.place == place; });
  return found == operands.end() ? nullptr : &*found;
}

// The schedule under the names that it has on each rail, rail after rail, as if self spoke on all.
struct Named {
  Named(const Schedule& schedule, const Part& part, std::span<const Rail> rails) {
    const Schedule from = expand(schedule);
    std::uint32_t spoken = 0;
    std::vector<Renaming> names;
    for (const Rail& rail : rails) {
      names.push_back({[&rail](std::uint32_t id) { return rail.blocks[id]; },
                       [&rail](Rank peer) { return rail.speakers[static_cast<std::size_t>(peer)]; },
                       spoken * from.scratch_blocks, 0});
      spoken += rail.speakers[static_cast<std::size_t>(part.number)] == part.self;
    }
    Assembly assembly(part.ranks, part.blocks, (spoken + 1) * from.scratch_blocks, from.lanes);
    for (std::uint32_t k = 0; k < rails.size(); ++k) {
      std::vector<Assembly::Pieces> became;
      for (const Step& step : from.steps) became.push_back(assembly.append(from, step, names[k], became));
      rail_of.resize(became.back().end, k);
    }
    steps = std::move(assembly).take();
    steps.largest_message = from.largest_message;
    scratch = spoken * from.scratch_blocks;
    last_write.resize(steps.blocks);
    for (std::uint32_t s = 0; s < steps.steps.size(); ++s)
      if (const Operand* output = at_place(steps.destinations(steps.steps[s]), Place::kOutput))
        for_each_id(output->blocks, steps.blocks, [&](std::uint32_t id) { last_write[id] = s; });
  }

  // What the step writes to the output, if no later step writes it again: a result. It is one as a whole.
  const Operand* result(std::uint32_t step) const {
    const Operand* output = at_place(steps.destinations(steps.steps[step]), Place::kOutput);
    if (output == nullptr) return nullptr;
    std::uint32_t final = 0;
    for_each_id(output->blocks, steps.blocks, [&](std::uint32_t id) { final += last_write[id] == step; });
    assert(final == 0 || final == output->blocks.size());
    return final > 0 ? output : nullptr;
  }

  Schedule steps;
  std::uint32_t scratch = 0;              // slots of the rails that self speaks on
  std::vector<std::uint32_t> rail_of;     // by step
  std::vector<std::uint32_t> last_write;  // by block: the last step that writes it
};

class PartOfOne {
 public:
  PartOfOne(const Named& named, const Part& part, std::span<const Rail> rails)
      : named_(named), part_(part), rails_(rails), became_(named.steps.steps.size()) {
    to_.ranks = named.steps.ranks;
    to_.blocks = named.steps.blocks;
    to_.scratch_blocks = named.scratch;
    to_.largest_message = named.steps.largest_message;
    // One rail's results must not wait for what is given to another.
    result_lane_ = rails.size() > 1 ? 1 : 0;
    to_.lanes = std::max<std::uint16_t>(named.steps.lanes, result_lane_ + 1);
  }

  // Rail by rail, in the order of each rail's schedule: then two messages' room in a channel is enough
  // wherever it is enough for the schedule.
  Schedule run() && {
    for (std::uint32_t s = 0; s < became_.size(); ++s) {
      if (speaker(s) == part_.self) {
        speak(s);
        continue;
      }
      give(s);
      take(s);
    }
    return std::move(to_);
  }

 private:
  const Rail& rail_of(std::uint32_t index) const { return rails_[named_.rail_of[index]]; }
  Rank speaker(std::uint32_t index) const {
    return rail_of(index).speakers[static_cast<std::size_t>(part_.number)];
  }

  void speak(std::uint32_t index) {
    const Rail& rail = rail_of(index);
    const Schedule& from = named_.steps;
    const Step& step = from.steps[index];
    std::vector<Operand> sources, destinations;
    for (const Operand& source : from.sources(step)) {
      if (source.place != Place::kInput) sources.push_back(source);
      for (const Rank giver : rail.givers)
        if (source.place == Place::kInput)
          sources.push_back(giver == part_.self ? source : peer(giver, source.blocks));
    }
    const Operand* result = named_.result(index);
    for (const Operand& destination : from.destinations(step)) {
      const bool given = result != nullptr && destination.place == Place::kOutput;
      if (!given || holds(rail.takers, part_.self)) destinations.push_back(destination);
      for (const Rank taker : rail.takers)
        if (given && taker != part_.self)
          destinations.push_back(peer(taker, destination.blocks, result_lane_));
    }
    became_[index] = add(sources, destinations);
    to_.steps.back().finish = step.finish;
    for (const std::uint32_t dep : from.dependencies(step)) depend_on(became_[dep]);
  }

  void give(std::uint32_t index) {
    const Operand* given = at_place(named_.steps.sources(named_.steps.steps[index]), Place::kInput);
    if (given == nullptr || !holds(rail_of(index).givers, part_.self)) return;
    std::vector<Operand> destinations{peer(speaker(index), given->blocks)};
    if (part_.keeps) destinations.push_back(output(given->blocks));
    add({given, 1}, destinations);
    derive();
  }

  void take(std::uint32_t index) {
    const Operand* taken = named_.result(index);
    if (taken == nullptr || !holds(rail_of(index).takers, part_.self)) return;
    const Operand source = peer(speaker(index), taken->blocks, result_lane_);
    add({&source, 1}, {taken, 1});
    derive();
  }

  std::uint32_t add(std::span<const Operand> sources, std::span<const Operand> destinations) {
    Step step;
    step.operands = static_cast<std::uint32_t>(to_.operands.size());
    step.deps = static_cast<std::uint32_t>(to_.deps.size());
    step.sources = static_cast<std::uint16_t>(sources.size());
    step.destinations = static_cast<std::uint16_t>(destinations.size());
    to_.operands.insert(to_.operands.end(), sources.begin(), sources.end());
    to_.operands.insert(to_.operands.end(), destinations.begin(), destinations.end());
    to_.steps.push_back(step);
    return static_cast<std::uint32_t>(to_.steps.size()) - 1;
  }
  void depend_on(std::uint32_t step) {
    to_.deps.push_back(step);
    ++to_.steps.back().dep_count;
  }
  void derive() {
    for (std::uint32_t earlier = 0; earlier + 1 < to_.steps.size(); ++earlier)
      if (conflict(to_, to_.steps[earlier], to_.steps.back())) depend_on(earlier);
  }

  const Named& named_;
  const Part& part_;
  std::span<const Rail> rails_;
  std::vector<std::uint32_t> became_;  // by step of all rails: of those that self speaks
  std::uint16_t result_lane_;
  Schedule to_;
};

}  // namespace

Schedule on_rails(const Schedule& schedule, const Part& part, std::span<const Rail> rails) {
  const Named named(schedule, part, rails);
  return PartOfOne(named, part, rails).run();
}

}  // namespace hansa
