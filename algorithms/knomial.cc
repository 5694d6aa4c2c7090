// The k-nomial tree, radix 2..8 (binomial at 2). Ranks are numbered v = self-root modulo ranks. The parent of
// v has v's lowest non-zero digit in base k cleared; below v hang v .. v+weight(v)-1, cut at the last rank,
// so gather and scatter move one run of blocks along each edge.
#include <algorithm>
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

class Tree {
 public:
  explicit Tree(const Query& query)
      : ranks_(query.ranks), root_(rooted(query.collective) ? query.root : 0), radix_(query.radix) {}

  Rank vertex(Rank rank) const { return wrap(rank - root_, ranks_); }
  Rank rank_at(std::int64_t vertex) const { return wrap(static_cast<Rank>(vertex) + root_ - ranks_, ranks_); }

  // The value of v's lowest non-zero digit's place; of 0, the first power that reaches all ranks.
  std::int64_t weight(Rank vertex) const {
    std::int64_t place = 1;
    while (vertex == 0 ? place < ranks_ : vertex / place % radix_ == 0) place *= radix_;
    return place;
  }
  Rank parent(Rank vertex) const {
    const std::int64_t place = weight(vertex);
    return static_cast<Rank>(vertex - vertex / place % radix_ * place);
  }
  // In rising order, so with growing subtrees.
  std::vector<Rank> children(Rank vertex) const {
    std::vector<Rank> list;
    const std::int64_t end = weight(vertex);
    for (std::int64_t place = 1; place < end; place *= radix_)
      for (std::int64_t digit = 1; digit < radix_; ++digit)
        if (vertex + digit * place < ranks_) list.push_back(static_cast<Rank>(vertex + digit * place));
    return list;
  }
  // Vertices of v's subtree, itself included: v, v+1, ...
  std::uint32_t size(Rank vertex) const {
    return static_cast<std::uint32_t>(std::min<std::int64_t>(weight(vertex), ranks_ - vertex));
  }
  // Of any but the root's.
  std::uint32_t largest_subtree() const {
    std::uint32_t largest = 0;
    for (const Rank child : children(0)) largest = std::max(largest, size(child));
    return largest;
  }
  // The blocks of its ranks.
  Blocks blocks(Rank vertex) const { return run(id_of(rank_at(vertex)), size(vertex)); }

  // The most edges from the root: the first vertex at depth d has d digits of 1.
  std::uint32_t depth() const {
    std::uint32_t edges = 0;
    for (std::int64_t first = 1; first < ranks_; first = first * radix_ + 1) ++edges;
    return edges;
  }

 private:
  Rank ranks_, root_;
  std::int64_t radix_;
};

// What a rank of a tree talks to: its children in rising order, and its parent.
struct Edges {
  explicit Edges(const Query& query, Rank self) {
    const Tree tree(query);
    const Rank vertex = tree.vertex(self);
    is_root = vertex == 0;
    for (const Rank child : tree.children(vertex)) children.push_back(peer(tree.rank_at(child), block(0)));
    if (!is_root) parent = peer(tree.rank_at(tree.parent(vertex)), block(0));
  }
  // All contributions from below, in rank order where the root is rank 0.
  std::vector<Operand> partials() const {
    std::vector<Operand> list{input(block(0))};
    list.insert(list.end(), children.begin(), children.end());
    return list;
  }
  // The result's takers, the largest subtree first.
  std::vector<Operand> takers() const {
    std::vector<Operand> list{output(block(0))};
    list.insert(list.end(), children.rbegin(), children.rend());
    return list;
  }
  bool is_root = false;
  Operand parent;
  std::vector<Operand> children;
};

Schedule broadcast(const Query& query, Rank self) {
  const Edges edges(query, self);
  Builder builder(query.ranks, 1);
  const Operand source[] = {edges.is_root ? input(block(0)) : edges.parent};
  builder.combine(source, edges.takers());
  return std::move(builder).build();
}

Schedule reduce(const Query& query, Rank self) {
  const Edges edges(query, self);
  Builder builder(query.ranks, 1);
  const Operand target[] = {edges.is_root ? output(block(0)) : edges.parent};
  builder.combine(edges.partials(), target);
  if (edges.is_root) builder.finish();
  return std::move(builder).build();
}

// Up to rank 0 and down again.
Schedule all_reduce(const Query& query, Rank self) {
  const Edges edges(query, self);
  Builder builder(query.ranks, 1);
  if (edges.is_root) {
    builder.combine(edges.partials(), edges.takers());
    builder.finish();
  } else {
    const Operand parent[] = {edges.parent};
    builder.combine(edges.partials(), parent);
    builder.combine(parent, edges.takers());
  }
  return std::move(builder).build();
}

// A subtree's blocks meet in scratch, in the order of its vertices, and leave as one message.
Schedule gather(const Query& query, Rank self) {
  const Tree tree(query);
  const Rank top = tree.vertex(self);
  const Blocks own = block(id_of(self)), all = tree.blocks(top);
  const bool relays = top != 0 && all.size() > 1;
  Builder builder(query.ranks, id_of(query.ranks), relays ? all.size() : 0);
  builder.limit_messages(tree.largest_subtree());
  if (top != 0 && !relays) {
    builder.combine({input(own)}, {peer(tree.rank_at(tree.parent(top)), own)});
    return std::move(builder).build();
  }
  builder.combine({input(own)}, {relays ? scratch(block(0)) : output(own)});
  for (const Rank child : tree.children(top)) {
    const Blocks blocks = tree.blocks(child);
    builder.combine({peer(tree.rank_at(child), blocks)},
                    {relays ? scratch(run(id_of(child - top), blocks.size())) : output(blocks)});
  }
  if (relays) builder.combine({scratch(run(0, all.size()))}, {peer(tree.rank_at(tree.parent(top)), all)});
  return std::move(builder).build();
}

// Gather backwards.
Schedule scatter(const Query& query, Rank self) {
  const Tree tree(query);
  const Rank top = tree.vertex(self);
  const Blocks own = block(id_of(self)), all = tree.blocks(top);
  const bool relays = top != 0 && all.size() > 1;
  Builder builder(query.ranks, id_of(query.ranks), relays ? all.size() : 0);
  builder.limit_messages(tree.largest_subtree());
  if (top != 0 && !relays) {
    builder.combine({peer(tree.rank_at(tree.parent(top)), own)}, {output(own)});
    return std::move(builder).build();
  }
  if (relays) builder.combine({peer(tree.rank_at(tree.parent(top)), all)}, {scratch(run(0, all.size()))});
  const std::vector<Rank> children = tree.children(top);
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    const Blocks blocks = tree.blocks(*child);
    builder.combine({relays ? scratch(run(id_of(*child - top), blocks.size())) : input(blocks)},
                    {peer(tree.rank_at(*child), blocks)});
  }
  builder.combine({relays ? scratch(block(0)) : input(own)}, {output(own)});
  return std::move(builder).build();
}

bool is_edge(const Tree& tree, Rank upper, Rank lower) {
  const Rank vertex = tree.vertex(lower);
  return vertex != 0 && tree.parent(vertex) == tree.vertex(upper);
}
std::uint64_t blocks_down(const Query& query, Rank from, Rank to) { return is_edge(Tree(query), from, to); }
std::uint64_t blocks_up(const Query& query, Rank from, Rank to) { return is_edge(Tree(query), to, from); }
std::uint64_t blocks_both(const Query& query, Rank from, Rank to) {
  return blocks_up(query, from, to) + blocks_down(query, from, to);
}
std::uint64_t blocks_gathered(const Query& query, Rank from, Rank to) {
  const Tree tree(query);
  return is_edge(tree, to, from) ? tree.size(tree.vertex(from)) : 0;
}
std::uint64_t blocks_scattered(const Query& query, Rank from, Rank to) {
  return blocks_gathered(query, to, from);
}
std::uint32_t rounds(const Query& query) { return Tree(query).depth(); }
std::uint32_t rounds_both(const Query& query) { return 2 * rounds(query); }

constexpr Algorithm kRows[] = {
    {"knomial", Collective::kAllReduce, false, is_valid_tree, all_reduce, blocks_both, rounds_both},
    {"knomial", Collective::kBroadcast, false, is_valid_tree, broadcast, blocks_down, rounds},
    {"knomial", Collective::kReduce, false, is_valid_tree, reduce, blocks_up, rounds},
    {"knomial", Collective::kGather, false, is_valid_tree, gather, blocks_gathered, rounds},
    {"knomial", Collective::kScatter, false, is_valid_tree, scatter, blocks_scattered, rounds},
};

}  // namespace

std::span<const Algorithm> knomial() { return kRows; }

}  // namespace hansa::algorithms
