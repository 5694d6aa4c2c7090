// Two binary trees, each for half of the vector (Sanders, Speck and Traeff, 2009): a rank that is inside one
// tree is a leaf of the other, so with chunks in flight every rank sends and receives at full rate, in
// logarithmic depth. The root stands above both trees and feeds or drains them; an allreduce goes up to rank
// 0 and down again. Each tree has a block and a lane of its own.
#include <algorithm>
#include <bit>
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

constexpr std::uint32_t kTrees = 2;

// Vertex 0 is the root. The first tree is in order: the lowest set bit of a vertex is its height. The
// second is the first with the other vertices mirrored, or shifted by one where mirroring would keep odd
// vertices, the leaves, odd.
class Tree {
 public:
  Tree(const Query& query, std::uint32_t which)
      : ranks_(query.ranks), root_(rooted(query.collective) ? query.root : 0), second_(which == 1) {}

  Rank vertex(Rank rank) const {
    const Rank v = wrap(rank - root_, ranks_);
    if (!second_ || v == 0) return v;
    if (ranks_ % 2 == 1) return ranks_ - v;
    return v == 1 ? ranks_ - 1 : v - 1;
  }
  Rank rank_at(Rank vertex) const {
    Rank v = vertex;
    if (second_ && v != 0) v = ranks_ % 2 == 1 ? ranks_ - v : v == ranks_ - 1 ? 1 : v + 1;
    return wrap(v + root_ - ranks_, ranks_);
  }

  Rank parent(Rank vertex) const {
    const Rank height = vertex & -vertex, below = vertex ^ height;
    return (below | height * 2) < ranks_ ? below | height * 2 : below;
  }
  std::vector<Rank> children(Rank vertex) const {
    if (vertex == 0) return {static_cast<Rank>(std::bit_floor(id_of(ranks_ - 1)))};
    std::vector<Rank> list;
    Rank reach = (vertex & -vertex) / 2;
    if (reach > 0) list.push_back(vertex - reach);
    while (reach > 0 && vertex + reach >= ranks_) reach /= 2;
    if (reach > 0) list.push_back(vertex + reach);
    return list;
  }

 private:
  Rank ranks_, root_;
  bool second_;
};

struct Edges {
  Edges(const Query& query, Rank self, std::uint32_t which) : half(block(which)) {
    const Tree tree(query, which);
    const auto at = [&](Rank vertex) {
      return peer(tree.rank_at(vertex), half, static_cast<std::uint16_t>(which));
    };
    const Rank vertex = tree.vertex(self);
    is_root = vertex == 0;
    for (const Rank child : tree.children(vertex)) children.push_back(at(child));
    if (!is_root) parent = at(tree.parent(vertex));
  }
  // Self stands between the subtrees below and above it, so that the first tree sums in rank order.
  std::vector<Operand> partials() const {
    std::vector<Operand> list = children;
    list.insert(list.begin() + (is_root || children.empty() ? 0 : 1), input(half));
    return list;
  }
  std::vector<Operand> takers() const {
    std::vector<Operand> list{output(half)};
    list.insert(list.end(), children.begin(), children.end());
    return list;
  }
  Blocks half;
  bool is_root = false;
  Operand parent;
  std::vector<Operand> children;
};

Schedule broadcast(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(kTrees, false);
  Builder builder(query.ranks, kTrees);
  for (std::uint32_t which = 0; which < kTrees; ++which) {
    const Edges edges(query, self, which);
    const Operand source[] = {edges.is_root ? input(edges.half) : edges.parent};
    builder.combine(source, edges.takers());
  }
  return std::move(builder).build();
}

Schedule reduce(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(kTrees, true);
  Builder builder(query.ranks, kTrees);
  for (std::uint32_t which = 0; which < kTrees; ++which) {
    const Edges edges(query, self, which);
    const Operand target[] = {edges.is_root ? output(edges.half) : edges.parent};
    builder.combine(edges.partials(), target);
    if (edges.is_root) builder.finish();
  }
  return std::move(builder).build();
}

Schedule all_reduce(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(kTrees, true);
  Builder builder(query.ranks, kTrees);
  const Edges trees[kTrees] = {Edges(query, self, 0), Edges(query, self, 1)};
  for (const Edges& edges : trees) {
    const Operand parent[] = {edges.parent};
    if (edges.is_root)
      builder.combine(edges.partials(), edges.takers()), builder.finish();
    else
      builder.combine(edges.partials(), parent);
  }
  for (const Edges& edges : trees) {
    const Operand parent[] = {edges.parent};
    if (!edges.is_root) builder.combine(parent, edges.takers());
  }
  return std::move(builder).build();
}

std::uint64_t blocks_up(const Query& query, Rank from, Rank to) {
  std::uint64_t blocks = 0;
  for (std::uint32_t which = 0; which < kTrees; ++which) {
    const Tree tree(query, which);
    const Rank vertex = tree.vertex(from);
    blocks += vertex != 0 && tree.rank_at(tree.parent(vertex)) == to;
  }
  return blocks;
}
std::uint64_t blocks_down(const Query& query, Rank from, Rank to) { return blocks_up(query, to, from); }
std::uint64_t blocks_both(const Query& query, Rank from, Rank to) {
  return blocks_up(query, from, to) + blocks_down(query, from, to);
}
// Vertex 1 is the deepest: its ancestors are 2, 4, 8, ... and 0.
std::uint32_t rounds(const Query& query) {
  return static_cast<std::uint32_t>(std::bit_width(id_of(query.ranks - 1)));
}
std::uint32_t rounds_both(const Query& query) { return 2 * rounds(query); }

constexpr std::string_view kName = "double_binary_tree";
constexpr Algorithm kRows[] = {
    {kName, Collective::kAllReduce, false, is_valid, all_reduce, blocks_both, rounds_both},
    {kName, Collective::kBroadcast, false, is_valid, broadcast, blocks_down, rounds},
    {kName, Collective::kReduce, false, is_valid, reduce, blocks_up, rounds},
};

}  // namespace

std::span<const Algorithm> double_tree() { return kRows; }

}  // namespace hansa::algorithms
