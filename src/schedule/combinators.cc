// Schedules from schedules: every operand gets new names, and steps whose new ids are no Blocks are cut.
#include <algorithm>
#include <cassert>
#include <functional>

#include "hansa/schedule.hpp"
#include "schedule/conflict.hpp"

namespace hansa {
namespace {

// What becomes of the names in one part.
struct Renaming {
  std::function<std::uint32_t(std::uint32_t)> block = [](std::uint32_t id) { return id; };
  std::function<Rank(Rank)> rank = [](Rank peer) { return peer; };
  std::uint32_t scratch = 0;  // added to slots
  std::uint16_t lane = 0;     // added to lanes
};

std::vector<std::uint32_t> ids_of(const Blocks& blocks, std::uint32_t modulus) {
  std::vector<std::uint32_t> ids;
  ids.reserve(blocks.size());
  for (std::uint32_t i = 0; i < blocks.repeats; ++i)
    for (std::uint32_t j = 0; j < blocks.count; ++j)
      ids.push_back(
          static_cast<std::uint32_t>((blocks.first + std::uint64_t{i} * blocks.stride + j) % modulus));
  return ids;
}

// The Blocks of as many ids from the front as form rows like the first.
Blocks front_of(std::span<const std::uint32_t> ids, std::uint32_t modulus) {
  const auto follows = [&](std::size_t k, std::uint64_t by) { return ids[k] == (ids[0] + by) % modulus; };
  std::uint32_t count = 1;
  while (count < ids.size() && follows(count, count)) ++count;
  const std::uint32_t rest = static_cast<std::uint32_t>(ids.size()) / count;
  if (rest == 1) return {ids[0], count, 0, 1};
  const std::uint32_t stride = (ids[count] + modulus - ids[0]) % modulus;
  const auto is_row = [&](std::uint32_t row) {
    for (std::uint32_t j = 0; j < count; ++j)
      if (!follows(std::size_t{row} * count + j, std::uint64_t{row} * stride + j)) return false;
    return std::uint64_t{row + 1} * stride + modulus <= UINT32_MAX;  // such ids can be added up in 32 bits
  };
  std::uint32_t rows = 1;
  while (rows < rest && is_row(rows)) ++rows;
  return {ids[0], count, rows > 1 ? stride : 0, rows};
}

class Assembly {
 public:
  Assembly(Rank ranks, std::uint32_t blocks, std::uint32_t scratch_blocks, int lanes) {
    to_.ranks = ranks;
    to_.blocks = blocks;
    to_.scratch_blocks = scratch_blocks;
    to_.lanes = static_cast<std::uint16_t>(lanes);
  }

  // From here on, steps also wait for all steps so far that they conflict with.
  void follow() { followed_ = static_cast<std::uint32_t>(to_.steps.size()); }

  void append(const Schedule& part, const Renaming& names) {
    to_.largest_message = std::max(to_.largest_message, part.largest_message);
    const Schedule from = expand(part);
    std::vector<Pieces> pieces;
    for (const Step& step : from.steps) pieces.push_back(append(from, step, names, pieces));
  }

  Schedule take() && { return std::move(to_); }

 private:
  // The steps that one step became.
  struct Pieces {
    std::uint32_t begin, end;
  };

  Pieces append(const Schedule& from, const Step& step, const Renaming& names,
                const std::vector<Pieces>& earlier) {
    const std::span operands(from.operands.data() + step.operands,
                             std::size_t{step.sources} + step.destinations);
    const auto carrier = std::find_if(operands.begin(), operands.end(),
                                      [](const Operand& o) { return o.place != Place::kScratch; });
    std::vector<std::uint32_t> ids = ids_of(carrier->blocks, from.blocks);
    for (std::uint32_t& id : ids) id = names.block(id);
    Pieces pieces{static_cast<std::uint32_t>(to_.steps.size()), 0};
    for (std::size_t done = 0; done < ids.size();) {
      const Blocks front = front_of(std::span(ids).subspan(done), to_.blocks);
      Step piece = step;
      piece.operands = static_cast<std::uint32_t>(to_.operands.size());
      for (const Operand& operand : operands)
        to_.operands.push_back(renamed(from, operand, names, front, done));
      add_dependencies(piece, from.dependencies(step), earlier);
      to_.steps.push_back(piece);
      done += front.size();
    }
    pieces.end = static_cast<std::uint32_t>(to_.steps.size());
    return pieces;
  }

  // The operand of the piece that carries `front`, `done` blocks into the step.
  Operand renamed(const Schedule& from, Operand operand, const Renaming& names, const Blocks& front,
                  std::size_t done) const {
    if (operand.place == Place::kPeer) {
      operand.peer = names.rank(operand.peer);
      operand.lane = static_cast<std::uint16_t>(operand.lane + names.lane);
    }
    if (operand.place != Place::kScratch) {
      operand.blocks = front;
      return operand;
    }
    std::vector<std::uint32_t> slots = ids_of(operand.blocks, from.scratch_blocks);
    for (std::uint32_t& slot : slots) slot += names.scratch;
    operand.blocks = front_of(std::span(slots).subspan(done, front.size()), to_.scratch_blocks);
    assert(operand.blocks.size() == front.size());
    return operand;
  }

  void add_dependencies(Step& piece, std::span<const std::uint32_t> deps,
                        const std::vector<Pieces>& earlier) {
    piece.deps = static_cast<std::uint32_t>(to_.deps.size());
    for (std::uint32_t step = 0; step < followed_; ++step)
      if (conflict(to_, to_.steps[step], piece)) to_.deps.push_back(step);
    for (const std::uint32_t dep : deps)
      for (std::uint32_t step = earlier[dep].begin; step < earlier[dep].end; ++step) to_.deps.push_back(step);
    piece.dep_count = static_cast<std::uint16_t>(to_.deps.size() - piece.deps);
  }

  Schedule to_;
  std::uint32_t followed_ = 0;
};

}  // namespace

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
