// What the families share: arithmetic on ranks, and the schedule of a communicator of one.
#pragma once

#include <cstdint>
#include <utility>

#include "hansa/algorithm.hpp"

namespace hansa::algorithms {

// Steps with an operand for every rank, and schedules with a step for every rank, are not worth building
// beyond this.
inline constexpr Rank kMostDirect = 1024;
// n*n block ids are 32-bit numbers.
inline constexpr Rank kMostAllToAll = 65535;

constexpr std::uint32_t id_of(Rank rank) { return static_cast<std::uint32_t>(rank); }

// `rank` modulo `ranks`, for values one turn off on either side.
constexpr Rank wrap(Rank rank, Rank ranks) {
  return rank < 0 ? rank + ranks : rank >= ranks ? rank - ranks : rank;
}

constexpr bool is_valid(const Query& query) {
  return query.ranks >= 1 && (!rooted(query.collective) || (query.root >= 0 && query.root < query.ranks));
}
constexpr bool is_valid_tree(const Query& query) {
  return is_valid(query) && query.radix >= 2 && query.radix <= 8;
}
constexpr bool is_valid_direct(const Query& query) { return is_valid(query) && query.ranks <= kMostDirect; }
constexpr bool is_valid_alltoall(const Query& query) {
  return is_valid(query) && query.ranks <= kMostAllToAll;
}

// One rank: its input is the result.
inline Schedule alone(std::uint32_t blocks, bool reducing) {
  Builder builder(1, blocks);
  builder.combine({input(run(0, blocks))}, {output(run(0, blocks))});
  if (reducing) builder.finish();
  return std::move(builder).build();
}

}  // namespace hansa::algorithms
