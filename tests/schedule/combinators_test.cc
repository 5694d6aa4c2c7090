// Combinators: whole collectives put together from parts, proven by the checker, and the names they give.
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "hansa/algorithm.hpp"
#include "hansa/schedule.hpp"
#include "schedule/check.hpp"

namespace hansa {
namespace {

using Ids = std::vector<std::uint32_t>;

Schedule build(Collective collective, std::string_view name, Rank ranks, Rank self, Rank root = 0) {
  for (const Algorithm& row : builtin_algorithms())
    if (row.collective == collective && row.name == name)
      return row.build({collective, ranks, root, 2}, self);
  ADD_FAILURE() << "no algorithm " << name;
  return {};
}

// Proves the schedules that `make` gives to every rank.
template <class Make>
void prove(Collective collective, Rank ranks, Make make) {
  std::vector<Schedule> all;
  for (Rank self = 0; self < ranks; ++self) all.push_back(make(self));
  const Status status = check_schedules({collective, ranks, 0, 2}, all);
  EXPECT_TRUE(status.ok()) << ranks << " ranks: " << status.message();
}

TEST(Sequence, ReduceThenBroadcastIsAllReduce) {
  for (const char* name : {"ring", "knomial", "double_binary_tree"})
    for (Rank ranks = 1; ranks <= 9; ++ranks)
      for (Rank root = 0; root < ranks; ++root)
        prove(Collective::kAllReduce, ranks, [&](Rank self) {
          return sequence(build(Collective::kReduce, name, ranks, self, root),
                          in_place(build(Collective::kBroadcast, name, ranks, self, root)));
        });
}

TEST(Sequence, ReduceScatterThenAllGatherIsAllReduce) {
  for (const char* first : {"ring", "circulant", "direct"})
    for (const char* second : {"ring", "circulant", "direct"})
      for (Rank ranks = 1; ranks <= 9; ++ranks)
        prove(Collective::kAllReduce, ranks, [&](Rank self) {
          return sequence(build(Collective::kReduceScatter, first, ranks, self),
                          in_place(build(Collective::kAllGather, second, ranks, self)));
        });
}

TEST(Sequence, WaitsForWhatItOverwrites) {
  Builder first(2, 2), second(2, 2);
  first.combine({input(block(0))}, {peer(1, block(0))});
  first.combine({input(block(1))}, {peer(1, block(1))});
  second.combine({peer(1, block(1))}, {output(block(1))});
  const Schedule whole = sequence(std::move(first).build(), std::move(second).build());
  ASSERT_EQ(whole.steps.size(), 3u);
  EXPECT_EQ(whole.steps[1].dep_count, 0);
  ASSERT_EQ(whole.steps[2].dep_count, 1);
  EXPECT_EQ(whole.dependencies(whole.steps[2])[0], 1u);
}

TEST(Parallel, TwoAlgorithmsShareAVector) {
  for (const char* first : {"ring", "one_shot", "circulant"})
    for (const char* second : {"ring", "double_binary_tree", "two_shot"})
      for (Rank ranks = 1; ranks <= 7; ++ranks)
        prove(Collective::kAllReduce, ranks, [&](Rank self) {
          return parallel(build(Collective::kAllReduce, first, ranks, self),
                          build(Collective::kAllReduce, second, ranks, self));
        });
}

TEST(Parallel, MovesBlocksLanesAndScratch) {
  Builder first(2, 3, 2), second(2, 4, 5);
  first.combine({input(run(0, 2))}, {scratch(run(0, 2)), peer(1, run(0, 2))});
  second.combine({input(run(2, 3))}, {scratch(run(1, 3)), peer(1, run(2, 3), 1)});
  const Schedule whole = parallel(std::move(first).build(), std::move(second).build());
  EXPECT_EQ(whole.blocks, 7u);
  EXPECT_EQ(whole.scratch_blocks, 7u);
  EXPECT_EQ(whole.lanes, 3);
  // The second's run 2, 3, 0 is 5, 6, 3 now: two steps.
  ASSERT_EQ(whole.steps.size(), 3u);
  EXPECT_EQ(whole.sources(whole.steps[1])[0], input(run(5, 2)));
  EXPECT_EQ(whole.destinations(whole.steps[1])[0], scratch(run(3, 2)));
  EXPECT_EQ(whole.destinations(whole.steps[1])[1], peer(1, run(5, 2), 2));
  EXPECT_EQ(whole.sources(whole.steps[2])[0], input(run(3, 1)));
  EXPECT_EQ(whole.destinations(whole.steps[2])[0], scratch(run(5, 1)));
}

TEST(Pipeline, EveryFragmentIsRight) {
  for (const char* name : {"ring", "knomial", "recursive_doubling", "circulant", "double_binary_tree"})
    for (std::uint32_t fragments = 1; fragments <= 4; ++fragments)
      for (Rank ranks : {1, 2, 5, 8})
        prove(Collective::kAllReduce, ranks, [&](Rank self) {
          return pipeline(build(Collective::kAllReduce, name, ranks, self), fragments);
        });
}

TEST(Pipeline, KeepsRunsInOneStep) {
  const Schedule one = build(Collective::kAllReduce, "circulant", 8, 3);
  const Schedule three = pipeline(one, 3);
  EXPECT_EQ(three.steps.size(), 3 * one.steps.size());
  EXPECT_EQ(three.blocks, 24u);
  // Rank 3 first sends blocks 7, 0, 1, 2 of 8.
  EXPECT_EQ(three.sources(three.steps[0])[0].blocks, (Blocks{21, 1, 3, 4}));
}

// Relabelled ranks, with blocks in any order: steps are cut where ids no longer make rows.
TEST(OnSubset, AnyOrderOfRanksAndBlocks) {
  for (const char* name : {"ring", "circulant", "two_shot"})
    for (Rank ranks : {1, 3, 5, 7, 11}) {
      std::vector<Rank> members;
      Ids blocks;
      for (Rank rank = 0; rank < ranks; ++rank) {
        const Rank neighbour = rank ^ 1;
        members.push_back((rank * 4 + 1) % ranks);
        blocks.push_back(static_cast<std::uint32_t>(neighbour < ranks ? neighbour : rank));
      }
      std::vector<Rank> place(members.size());
      for (std::size_t i = 0; i < members.size(); ++i)
        place[static_cast<std::size_t>(members[i])] = static_cast<Rank>(i);
      prove(Collective::kAllReduce, ranks, [&](Rank self) {
        const Rank as = place[static_cast<std::size_t>(self)];
        return on_subset(build(Collective::kAllReduce, name, ranks, as), ranks, members,
                         static_cast<std::uint32_t>(ranks), blocks);
      });
    }
}

// What combinators are for: reduce-scatter inside each node, allreduce of every shard along its rail,
// allgather inside the node. Rank r is number r % size of node r / size.
Schedule on_rails(Rank nodes, Rank size, Rank self, const char* inner, const char* outer) {
  const Rank ranks = nodes * size, node = self / size, rail = self % size;
  const auto shards = static_cast<std::uint32_t>(size), pieces = static_cast<std::uint32_t>(nodes);
  std::vector<Rank> in_node, on_rail;
  for (Rank i = 0; i < size; ++i) in_node.push_back(node * size + i);
  for (Rank i = 0; i < nodes; ++i) on_rail.push_back(i * size + rail);
  // Every shard is cut into a piece for each node, because outer algorithms may want that many blocks.
  Ids all(shards * pieces), own(pieces);
  std::iota(all.begin(), all.end(), 0u);
  std::iota(own.begin(), own.end(), static_cast<std::uint32_t>(rail) * pieces);
  const auto inside = [&](Collective collective) {
    return on_subset(pipeline(build(collective, inner, size, rail), pieces), ranks, in_node, shards * pieces,
                     all);
  };
  const Schedule along =
      on_subset(build(Collective::kAllReduce, outer, nodes, node), ranks, on_rail, shards * pieces, own);
  return sequence(sequence(unfinished(inside(Collective::kReduceScatter)), in_place(along)),
                  in_place(inside(Collective::kAllGather)));
}

TEST(OnSubset, HierarchyOfNodesAndRails) {
  for (const char* inner : {"ring", "circulant", "direct"})
    for (const char* outer : {"ring", "circulant", "two_shot"})
      for (Rank nodes = 1; nodes <= 4; ++nodes)
        for (Rank size = 1; size <= 4; ++size)
          prove(Collective::kAllReduce, nodes * size,
                [&](Rank self) { return on_rails(nodes, size, self, inner, outer); });
}

}  // namespace
}  // namespace hansa
