// All messages at once, one to or from each peer, no forwarding: alltoall, gather, scatter.
#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

// Sends walk up the ranks from self+1, receives walk down from self-1, so at any time the ranks tend to
// talk in disjoint pairs. The walk up is two repeats because block ids do not wrap with the ranks.
Schedule all_to_all(const Query& query, Rank self) {
  const std::uint32_t n = id_of(query.ranks), me = id_of(self);
  Builder builder(query.ranks, n * n);
  builder.combine({input(block(me * n + me))}, {output(block(me * n + me))});
  const auto send = [&](std::uint32_t first, std::uint32_t count) {
    if (count == 0) return;
    builder.begin_repeat(count, 1, 1);
    builder.combine({input(block(me * n + first))}, {peer(static_cast<Rank>(first), block(me * n + first))});
    builder.end_repeat();
  };
  send(me + 1, n - 1 - me);
  send(0, me);
  if (n > 1) {
    const Rank from = wrap(self - 1, query.ranks);
    const Blocks blocks = block(id_of(from) * n + me);
    builder.begin_repeat(n - 1, -query.ranks, -1);
    builder.combine({peer(from, blocks)}, {output(blocks)});
    builder.end_repeat();
  }
  return std::move(builder).build();
}

Schedule gather(const Query& query, Rank self) {
  const Blocks own = block(id_of(self));
  Builder builder(query.ranks, id_of(query.ranks));
  if (self != query.root) {
    builder.combine({input(own)}, {peer(query.root, own)});
    return std::move(builder).build();
  }
  builder.combine({input(own)}, {output(own)});
  if (query.ranks > 1) {
    const Rank next = wrap(self + 1, query.ranks);
    builder.begin_repeat(id_of(query.ranks) - 1, 1, 1);
    builder.combine({peer(next, block(id_of(next)))}, {output(block(id_of(next)))});
    builder.end_repeat();
  }
  return std::move(builder).build();
}

Schedule scatter(const Query& query, Rank self) {
  const Blocks own = block(id_of(self));
  Builder builder(query.ranks, id_of(query.ranks));
  if (self != query.root) {
    builder.combine({peer(query.root, own)}, {output(own)});
    return std::move(builder).build();
  }
  builder.combine({input(own)}, {output(own)});
  if (query.ranks > 1) {
    const Rank next = wrap(self + 1, query.ranks);
    builder.begin_repeat(id_of(query.ranks) - 1, 1, 1);
    builder.combine({input(block(id_of(next)))}, {peer(next, block(id_of(next)))});
    builder.end_repeat();
  }
  return std::move(builder).build();
}

std::uint64_t blocks_each(const Query&, Rank from, Rank to) { return from != to; }
std::uint64_t blocks_to_root(const Query& query, Rank from, Rank to) {
  return to == query.root && from != to;
}
std::uint64_t blocks_from_root(const Query& query, Rank from, Rank to) {
  return from == query.root && from != to;
}
std::uint32_t rounds(const Query& query) { return query.ranks > 1; }

constexpr Algorithm kRows[] = {
    {"linear", Collective::kAllToAll, true, is_valid_alltoall, all_to_all, blocks_each, rounds},
    {"linear", Collective::kGather, false, is_valid, gather, blocks_to_root, rounds},
    {"linear", Collective::kScatter, false, is_valid, scatter, blocks_from_root, rounds},
};

}  // namespace

std::span<const Algorithm> linear() { return kRows; }

}  // namespace hansa::algorithms
