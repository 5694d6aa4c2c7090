#include "schedule/assembly.hpp"

#include <algorithm>
#include <cassert>

#include "schedule/conflict.hpp"
#include "schedule/ids.hpp"

namespace hansa {
namespace {

std::vector<std::uint32_t> ids_of(const Blocks& blocks, std::uint32_t modulus) {
  std::vector<std::uint32_t> ids;
  ids.reserve(blocks.size());
  for_each_id(blocks, modulus, [&](std::uint32_t id) { ids.push_back(id); });
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

}  // namespace

Assembly::Assembly(Rank ranks, std::uint32_t blocks, std::uint32_t scratch_blocks, int lanes) {
  to_.ranks = ranks;
  to_.blocks = blocks;
  to_.scratch_blocks = scratch_blocks;
  to_.lanes = static_cast<std::uint16_t>(lanes);
}

void Assembly::append(const Schedule& part, const Renaming& names) {
  to_.largest_message = std::max(to_.largest_message, part.largest_message);
  const Schedule from = expand(part);
  std::vector<Pieces> pieces;
  for (const Step& step : from.steps) pieces.push_back(append(from, step, names, pieces));
}

Assembly::Pieces Assembly::append(const Schedule& from, const Step& step, const Renaming& names,
                                  const std::vector<Pieces>& earlier) {
  const std::span operands(from.operands.data() + step.operands,
                           std::size_t{step.sources} + step.destinations);
  const auto carrier = std::find_if(operands.begin(), operands.end(),
                                    [](const Operand& o) { return o.place != Place::kScratch; });
  std::vector<std::uint32_t> ids = ids_of(carrier->blocks, from.blocks);
  for (std::uint32_t& id : ids) id = names.block(id);
  Pieces pieces{static_cast<std::uint32_t>(to_.steps.size()), 0};
  for (std::size_t done = 0; done < ids.size();) {
    if (ids[done] == kNoBlock) {
      ++done;
      continue;
    }
    const auto gap = std::find(ids.begin() + static_cast<std::ptrdiff_t>(done), ids.end(), kNoBlock);
    const Blocks front =
        front_of(std::span(ids.begin() + static_cast<std::ptrdiff_t>(done), gap), to_.blocks);
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
Operand Assembly::renamed(const Schedule& from, Operand operand, const Renaming& names, const Blocks& front,
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

void Assembly::add_dependencies(Step& piece, std::span<const std::uint32_t> deps,
                                const std::vector<Pieces>& earlier) {
  piece.deps = static_cast<std::uint32_t>(to_.deps.size());
  for (std::uint32_t step = 0; step < followed_; ++step)
    if (conflict(to_, to_.steps[step], piece)) to_.deps.push_back(step);
  for (const std::uint32_t dep : deps)
    for (std::uint32_t step = earlier[dep].begin; step < earlier[dep].end; ++step) to_.deps.push_back(step);
  piece.dep_count = static_cast<std::uint16_t>(to_.deps.size() - piece.deps);
}

}  // namespace hansa
