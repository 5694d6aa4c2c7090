// The ring: every rank talks to its two neighbours only. Bandwidth-optimal for vectors (Patarasuk and
// Yuan, 2009); for broadcast and reduce it is the chain, which streams by the chunks of the plan.
#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

// What one rank sees of the ring. Blocks go right; block self+offset is at(offset).
struct Ring {
  Rank ranks, self;
  Rank left() const { return wrap(self - 1, ranks); }
  Rank right() const { return wrap(self + 1, ranks); }
  Blocks at(Rank offset) const { return block(id_of((self + offset + ranks) % ranks)); }

  // Partial sums pass through: each rank adds its input to what comes and hands it on, for all blocks
  // but its own. That one arrives next, complete but for the rank's own input.
  void pass_partials(Builder& builder) const {
    builder.combine({input(at(-1))}, {peer(right(), at(-1))});
    if (ranks == 2) return;
    builder.begin_repeat(id_of(ranks) - 2, -1);
    builder.combine({peer(left(), at(-2)), input(at(-2))}, {peer(right(), at(-2))});
    builder.end_repeat();
  }

  // Results pass through: each rank keeps a copy and hands them on, until they are back at their origin.
  // Blocks that are read earlier (in place) were read by steps further up the same channels.
  void pass_results(Builder& builder) const {
    if (ranks > 2) {
      builder.begin_repeat(id_of(ranks) - 2, -1);
      builder.combine({peer(left(), at(-1))}, {output(at(-1)), peer(right(), at(-1))});
      builder.end_repeat();
    }
    builder.combine({peer(left(), at(1))}, {output(at(1))});
  }
};

Schedule all_reduce(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, true);
  const Ring ring{query.ranks, self};
  Builder builder(query.ranks, id_of(query.ranks));
  ring.pass_partials(builder);
  builder.combine({peer(ring.left(), ring.at(0)), input(ring.at(0))},
                  {output(ring.at(0)), peer(ring.right(), ring.at(0))});
  builder.finish();
  ring.pass_results(builder);
  return std::move(builder).build();
}

Schedule reduce_scatter(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, true);
  const Ring ring{query.ranks, self};
  Builder builder(query.ranks, id_of(query.ranks));
  ring.pass_partials(builder);
  builder.combine({peer(ring.left(), ring.at(0)), input(ring.at(0))}, {output(ring.at(0))});
  builder.finish();
  return std::move(builder).build();
}

Schedule all_gather(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, false);
  const Ring ring{query.ranks, self};
  Builder builder(query.ranks, id_of(query.ranks));
  builder.combine({input(ring.at(0))}, {output(ring.at(0)), peer(ring.right(), ring.at(0))});
  ring.pass_results(builder);
  return std::move(builder).build();
}

// Root first, then the ranks after it.
Schedule broadcast(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, false);
  const Ring ring{query.ranks, self};
  Builder builder(query.ranks, 1);
  const Operand source = self == query.root ? input(block(0)) : peer(ring.left(), block(0));
  if (ring.right() == query.root)
    builder.combine({source}, {output(block(0))});
  else
    builder.combine({source}, {output(block(0)), peer(ring.right(), block(0))});
  return std::move(builder).build();
}

// The broadcast's chain, backwards.
Schedule reduce(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, true);
  const Ring ring{query.ranks, self};
  Builder builder(query.ranks, 1);
  if (ring.right() == query.root) {
    builder.combine({input(block(0))}, {peer(ring.left(), block(0))});
  } else if (self == query.root) {
    builder.combine({input(block(0)), peer(ring.right(), block(0))}, {output(block(0))});
    builder.finish();
  } else {
    builder.combine({input(block(0)), peer(ring.right(), block(0))}, {peer(ring.left(), block(0))});
  }
  return std::move(builder).build();
}

template <std::uint64_t turns>
std::uint64_t blocks_around(const Query& query, Rank from, Rank to) {
  return to == wrap(from + 1, query.ranks) ? turns * (id_of(query.ranks) - 1) : 0;
}
std::uint64_t blocks_down(const Query& query, Rank from, Rank to) {
  return to == wrap(from + 1, query.ranks) && to != query.root;
}
std::uint64_t blocks_up(const Query& query, Rank from, Rank to) {
  return to == wrap(from - 1, query.ranks) && from != query.root;
}
template <std::uint32_t turns>
std::uint32_t rounds(const Query& query) {
  return turns * (id_of(query.ranks) - 1);
}

constexpr Algorithm kRows[] = {
    {"ring", Collective::kAllReduce, false, is_valid, all_reduce, blocks_around<2>, rounds<2>},
    {"ring", Collective::kAllGather, true, is_valid, all_gather, blocks_around<1>, rounds<1>},
    {"ring", Collective::kReduceScatter, true, is_valid, reduce_scatter, blocks_around<1>, rounds<1>},
    {"ring", Collective::kBroadcast, false, is_valid, broadcast, blocks_down, rounds<1>},
    {"ring", Collective::kReduce, false, is_valid, reduce, blocks_up, rounds<1>},
};

}  // namespace

std::span<const Algorithm> ring() { return kRows; }

}  // namespace hansa::algorithms
