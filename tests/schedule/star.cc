// An algorithm as a newcomer would add it: this file and one line in the table. Rank 0 adds up what all send
// it and sends the sum back.
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

Schedule star(const Query& query, Rank self) {
  const Blocks all = block(0);
  Builder builder(query.ranks, 1);
  if (self != 0) {
    builder.combine({input(all)}, {peer(0, all)});
    builder.combine({peer(0, all)}, {output(all)});
    return std::move(builder).build();
  }
  std::vector<Operand> sources{input(all)}, destinations{output(all)};
  for (Rank rank = 1; rank < query.ranks; ++rank) {
    sources.push_back(peer(rank, all));
    destinations.push_back(peer(rank, all));
  }
  builder.combine(sources, destinations);
  builder.finish();
  return std::move(builder).build();
}

std::uint64_t blocks_sent(const Query&, Rank from, Rank to) { return from != to && (from == 0 || to == 0); }
std::uint32_t rounds(const Query& query) { return query.ranks > 1 ? 2 : 0; }

constexpr Algorithm kRows[] = {
    {"star", Collective::kAllReduce, false, is_valid_direct, star, blocks_sent, rounds},
};

}  // namespace

std::span<const Algorithm> star() { return kRows; }

}  // namespace hansa::algorithms
