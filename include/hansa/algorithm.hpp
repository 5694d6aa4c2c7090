// What an algorithm is: a row of plain functions over facts that all ranks share. Pure: no I/O, no
// clock, no configuration, no memory of earlier calls; the same Query gives the same bytes everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "hansa/levels.hpp"
#include "hansa/schedule.hpp"
#include "hansa/types.hpp"

namespace hansa {

struct Query {
  Collective collective = Collective::kAllReduce;
  Rank ranks = 1;
  Rank root = 0;            // meaningful where rooted(collective)
  std::uint32_t radix = 2;  // of trees, exchanges and Bruck; 2..8
  // Of these ranks; outlives the query. Null: nothing is known, all ranks are equally near.
  const Levels* levels = nullptr;

  bool operator==(const Query&) const = default;
};

struct Algorithm {
  std::string_view name;  // as users write it: "ring", "recursive_doubling", ...
  Collective collective;  // one of the plain forms; see serves() for the v-forms
  bool uneven;            // right for blocks of different, partly unknown sizes (the v-forms)
  bool (*supports)(const Query&);
  // The schedule of rank `self`. Query must be supported.
  Schedule (*build)(const Query&, Rank self);
  // The algorithm's stated cost, written down apart from build() so that the checker can hold one
  // against the other: how many blocks `from` sends to `to` (with uneven levels: at most), ...
  std::uint64_t (*blocks_sent)(const Query&, Rank from, Rank to);
  // ... and the longest chain of messages, each waiting for the one before (the alpha term; with uneven or
  // several levels: of one rail by itself).
  std::uint32_t (*rounds)(const Query&);
};

// Every built-in algorithm (algorithms/builtin.cc), in order of preference within a collective.
std::span<const Algorithm> builtin_algorithms();

// Whether a row can run the collective at all: itself, or the v-form or barrier of its plain form.
constexpr bool serves(const Algorithm& row, Collective wanted) {
  switch (wanted) {
    case Collective::kAllGatherV:
      return row.collective == Collective::kAllGather && row.uneven;
    case Collective::kReduceScatterV:
      return row.collective == Collective::kReduceScatter && row.uneven;
    case Collective::kAllToAllV:
      return row.collective == Collective::kAllToAll && row.uneven;
    case Collective::kBarrier:
      return row.collective == Collective::kAllReduce;
    default:
      return row.collective == wanted;
  }
}

}  // namespace hansa
