// Broadcast and reduce in two rounds in which no rank moves more than the vector: the root deals out a block
// to each other rank, and those give theirs to one another. Reduce is the reverse. The root is left out of
// the second round, so its link carries every byte once, where scatter and allgather would carry it twice.
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

// The others in order behind the root; block i is the i-th one's.
struct Deal {
  Rank ranks, root;
  std::uint32_t blocks() const { return id_of(ranks) - 1; }
  Rank owner(std::uint32_t id) const { return wrap(root + 1 + static_cast<Rank>(id), ranks); }
  std::uint32_t block_of(Rank rank) const { return id_of(wrap(rank - root - 1, ranks)); }
};

bool is_valid_deal(const Query& query) { return is_valid_direct(query) && query.ranks >= 2; }

Schedule broadcast(const Query& query, Rank self) {
  const Deal deal{query.ranks, query.root};
  Builder builder(query.ranks, deal.blocks());
  if (self == query.root) {
    for (std::uint32_t id = 0; id < deal.blocks(); ++id)
      builder.combine({input(block(id))}, {output(block(id)), peer(deal.owner(id), block(id))});
    return std::move(builder).build();
  }
  // Each turns first to the one behind it, so that not all turn to the same.
  const std::uint32_t own = deal.block_of(self);
  const auto behind = [&](std::uint32_t k) { return (own + k) % deal.blocks(); };
  std::vector<Operand> takers{output(block(own))};
  for (std::uint32_t k = 1; k < deal.blocks(); ++k) takers.push_back(peer(deal.owner(behind(k)), block(own)));
  const Operand dealt[] = {peer(query.root, block(own))};
  builder.combine(dealt, takers);
  for (std::uint32_t k = 1; k < deal.blocks(); ++k)
    builder.combine({peer(deal.owner(behind(k)), block(behind(k)))}, {output(block(behind(k)))});
  return std::move(builder).build();
}

Schedule reduce(const Query& query, Rank self) {
  const Deal deal{query.ranks, query.root};
  Builder builder(query.ranks, deal.blocks());
  if (self == query.root) {
    for (std::uint32_t id = 0; id < deal.blocks(); ++id) {
      builder.combine({input(block(id)), peer(deal.owner(id), block(id))}, {output(block(id))});
      builder.finish();
    }
    return std::move(builder).build();
  }
  const std::uint32_t own = deal.block_of(self);
  for (std::uint32_t k = 1; k < deal.blocks(); ++k) {
    const std::uint32_t id = (own + k) % deal.blocks();
    builder.combine({input(block(id))}, {peer(deal.owner(id), block(id))});
  }
  std::vector<Operand> contributions;
  for (std::uint32_t id = 0; id < deal.blocks(); ++id)
    contributions.push_back(id == own ? input(block(own)) : peer(deal.owner(id), block(own)));
  const Operand to_root[] = {peer(query.root, block(own))};
  builder.combine(contributions, to_root);
  return std::move(builder).build();
}

std::uint64_t blocks_down(const Query& query, Rank from, Rank to) { return from != to && to != query.root; }
std::uint64_t blocks_up(const Query& query, Rank from, Rank to) { return from != to && from != query.root; }
std::uint32_t rounds(const Query& query) { return query.ranks > 2 ? 2 : 1; }

constexpr Algorithm kRows[] = {
    {"two_shot", Collective::kBroadcast, false, is_valid_deal, broadcast, blocks_down, rounds},
    {"two_shot", Collective::kReduce, false, is_valid_deal, reduce, blocks_up, rounds},
};

}  // namespace

std::span<const Algorithm> two_shot() { return kRows; }

}  // namespace hansa::algorithms
