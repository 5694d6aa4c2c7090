// Schedules from schedules: every operand gets new names, and steps whose new ids are no Blocks are cut.
#include <cassert>

#include "schedule/assembly.hpp"

namespace hansa {

Schedule sequence(const Schedule& first, const Schedule& second) {
  assert(first.ranks == second.ranks && first.blocks == second.blocks);
  Assembly assembly(first.ranks, first.blocks, std::max(first.scratch_blocks, second.scratch_blocks),
                    std::max(first.lanes, second.lanes));
  assembly.append(first, {});
  assembly.follow();
  assembly.append(second, {});
  return std::move(assembly).take();
}

Schedule in_place(Schedule schedule) {
  for (Operand& operand : schedule.operands)
    if (operand.place == Place::kInput) operand.place = Place::kOutput;
  return schedule;
}

Schedule unfinished(Schedule schedule) {
  for (Step& step : schedule.steps) step.finish = false;
  return schedule;
}

Schedule parallel(const Schedule& first, const Schedule& second) {
  assert(first.ranks == second.ranks);
  Assembly assembly(first.ranks, first.blocks + second.blocks, first.scratch_blocks + second.scratch_blocks,
                    first.lanes + second.lanes);
  assembly.append(first, {});
  Renaming moved;
  moved.block = [&](std::uint32_t id) { return id + first.blocks; };
  moved.scratch = first.scratch_blocks;
  moved.lane = first.lanes;
  assembly.append(second, moved);
  return std::move(assembly).take();
}

Schedule pipeline(const Schedule& schedule, std::uint32_t fragments) {
  Assembly assembly(schedule.ranks, schedule.blocks * fragments, schedule.scratch_blocks * fragments,
                    schedule.lanes);
  for (std::uint32_t fragment = 0; fragment < fragments; ++fragment) {
    Renaming part;
    part.block = [&](std::uint32_t id) { return id * fragments + fragment; };
    part.scratch = schedule.scratch_blocks * fragment;
    assembly.append(schedule, part);
  }
  return std::move(assembly).take();
}

Schedule on_subset(const Schedule& schedule, Rank ranks, std::span<const Rank> members,
                   std::uint32_t total_blocks, std::span<const std::uint32_t> blocks) {
  assert(static_cast<std::size_t>(schedule.ranks) == members.size() && schedule.blocks == blocks.size());
  Assembly assembly(ranks, total_blocks, schedule.scratch_blocks, schedule.lanes);
  Renaming names;
  names.block = [&](std::uint32_t id) { return blocks[id]; };
  names.rank = [&](Rank peer) { return members[static_cast<std::size_t>(peer)]; };
  assembly.append(schedule, names);
  return std::move(assembly).take();
}

}  // namespace hansa
