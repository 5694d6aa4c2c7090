// Everybody to everybody in one round: what wins inside a node. Sums are taken in rank order, so the
// result depends on nothing but the inputs. Where memory is mapped, each of these steps is one kernel.
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

// All other ranks, starting behind `self` so that not all of them turn to rank 0 first.
std::vector<Rank> others(Rank ranks, Rank self) {
  std::vector<Rank> list;
  for (Rank k = 1; k < ranks; ++k) list.push_back(wrap(self + k, ranks));
  return list;
}

// Everybody's contribution to `id` in rank order, self in its place.
std::vector<Operand> contributions(Rank ranks, Rank self, std::uint32_t id) {
  std::vector<Operand> list;
  for (Rank rank = 0; rank < ranks; ++rank)
    list.push_back(rank == self ? input(block(id)) : peer(rank, block(id)));
  return list;
}

std::vector<Operand> everybody(Rank ranks, Rank self, std::uint32_t id) {
  std::vector<Operand> list{output(block(id))};
  for (const Rank rank : others(ranks, self)) list.push_back(peer(rank, block(id)));
  return list;
}

Schedule all_reduce_one_shot(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, true);
  Builder builder(query.ranks, 1);
  std::vector<Operand> out;
  for (const Rank rank : others(query.ranks, self)) out.push_back(peer(rank, block(0)));
  const Operand in[] = {input(block(0))}, result[] = {output(block(0))};
  builder.combine(in, out);
  builder.combine(contributions(query.ranks, self, 0), result);
  builder.finish();
  return std::move(builder).build();
}

// Each rank offers every other its block; they match the sources of the owner's one combine.
void offer(Builder& builder, Rank ranks, Rank self) {
  for (const Rank rank : others(ranks, self))
    builder.combine({input(block(id_of(rank)))}, {peer(rank, block(id_of(rank)))});
}

void accept(Builder& builder, Rank ranks, Rank self) {
  for (const Rank rank : others(ranks, self))
    builder.combine({peer(rank, block(id_of(rank)))}, {output(block(id_of(rank)))});
}

Schedule all_reduce_two_shot(const Query& query, Rank self) {
  Builder builder(query.ranks, id_of(query.ranks));
  offer(builder, query.ranks, self);
  builder.combine(contributions(query.ranks, self, id_of(self)), everybody(query.ranks, self, id_of(self)));
  builder.finish();
  accept(builder, query.ranks, self);
  return std::move(builder).build();
}

Schedule reduce_scatter(const Query& query, Rank self) {
  Builder builder(query.ranks, id_of(query.ranks));
  offer(builder, query.ranks, self);
  const Operand result[] = {output(block(id_of(self)))};
  builder.combine(contributions(query.ranks, self, id_of(self)), result);
  builder.finish();
  return std::move(builder).build();
}

Schedule all_gather(const Query& query, Rank self) {
  Builder builder(query.ranks, id_of(query.ranks));
  const Operand own[] = {input(block(id_of(self)))};
  builder.combine(own, everybody(query.ranks, self, id_of(self)));
  accept(builder, query.ranks, self);
  return std::move(builder).build();
}

Schedule broadcast(const Query& query, Rank self) {
  Builder builder(query.ranks, 1);
  const Operand source[] = {self == query.root ? input(block(0)) : peer(query.root, block(0))};
  const std::vector<Operand> targets =
      self == query.root ? everybody(query.ranks, self, 0) : std::vector<Operand>{output(block(0))};
  builder.combine(source, targets);
  return std::move(builder).build();
}

// The root writes one share of n to all others while they read the rest, so that all copy alike. Who could go
// either way is pulled on lane 0 and pushed on lane 1 (lower_direct).
Schedule broadcast_split(const Query& query, Rank self) {
  const std::uint32_t shares = id_of(query.ranks);
  if (shares == 1) return alone(1, false);
  Builder builder(query.ranks, shares);
  builder.limit_messages(shares - 1);
  const Blocks pulled = run(0, shares - 1), pushed = block(shares - 1);
  if (self != query.root) {
    // Accepts first: reading takes long.
    builder.combine({peer(query.root, pushed, 1)}, {output(pushed)});
    builder.combine({peer(query.root, pulled, 0)}, {output(pulled)});
    return std::move(builder).build();
  }
  for (const auto& [blocks, lane] : {std::pair<Blocks, std::uint16_t>{pulled, 0}, {pushed, 1}}) {
    const Operand source[] = {input(blocks)};
    std::vector<Operand> targets{output(blocks)};
    for (const Rank rank : others(query.ranks, self)) targets.push_back(peer(rank, blocks, lane));
    builder.combine(source, targets);
  }
  return std::move(builder).build();
}

Schedule reduce(const Query& query, Rank self) {
  Builder builder(query.ranks, 1);
  if (self != query.root) {
    builder.combine({input(block(0))}, {peer(query.root, block(0))});
    return std::move(builder).build();
  }
  const Operand result[] = {output(block(0))};
  builder.combine(contributions(query.ranks, self, 0), result);
  builder.finish();
  return std::move(builder).build();
}

std::uint64_t blocks_from_root(const Query& query, Rank from, Rank to) {
  return from == query.root && to != from;
}
std::uint64_t shares_from_root(const Query& query, Rank from, Rank to) {
  return blocks_from_root(query, from, to) * id_of(query.ranks);
}
std::uint64_t blocks_to_root(const Query& query, Rank from, Rank to) {
  return to == query.root && to != from;
}

template <std::uint64_t blocks>
std::uint64_t blocks_each(const Query&, Rank from, Rank to) {
  return from == to ? 0 : blocks;
}
template <std::uint32_t shots>
std::uint32_t rounds(const Query& query) {
  return query.ranks > 1 ? shots : 0;
}

constexpr Algorithm kRows[] = {
    {"one_shot", Collective::kAllReduce, false, is_valid_direct, all_reduce_one_shot, blocks_each<1>,
     rounds<1>},
    {"two_shot", Collective::kAllReduce, false, is_valid_direct, all_reduce_two_shot, blocks_each<2>,
     rounds<2>},
    {"direct", Collective::kAllGather, true, is_valid_direct, all_gather, blocks_each<1>, rounds<1>},
    {"direct", Collective::kBroadcast, false, is_valid_direct, broadcast, blocks_from_root, rounds<1>},
    {"split", Collective::kBroadcast, false, is_valid_direct, broadcast_split, shares_from_root, rounds<1>},
    {"direct", Collective::kReduce, false, is_valid_direct, reduce, blocks_to_root, rounds<1>},
    {"direct", Collective::kReduceScatter, true, is_valid_direct, reduce_scatter, blocks_each<1>, rounds<1>},
};

}  // namespace

std::span<const Algorithm> direct() { return kRows; }

}  // namespace hansa::algorithms
