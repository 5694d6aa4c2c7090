// Labels become levels; parts act as one rank.
#include "hansa/levels.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hansa/schedule.hpp"
#include "schedule/print.hpp"

namespace hansa {
namespace {

using Labels = std::vector<std::uint32_t>;
using Ranks = std::vector<Rank>;

TEST(Levels, NumberPartsByTheirLowestRanks) {
  const Levels levels(Labels{7, 3, 7, 9, 3}, Labels{1, 0, 5, 1, 5});
  EXPECT_EQ(levels.ranks(), 5);
  EXPECT_EQ(levels.hosts(), 3);
  EXPECT_EQ(levels.groups(), 2);
  EXPECT_EQ(Ranks(levels.host_of().begin(), levels.host_of().end()), (Ranks{0, 1, 0, 2, 1}));
  EXPECT_EQ(Ranks(levels.group_of().begin(), levels.group_of().end()), (Ranks{0, 1, 0, 0, 1}));
  ASSERT_EQ(levels.partitions().size(), 2u);
  const Partition &hosts = levels.partitions()[0], &groups = levels.partitions()[1];
  EXPECT_EQ(hosts.parts, (std::vector<Ranks>{{0, 2}, {1, 4}, {3}}));
  EXPECT_EQ(groups.parts, (std::vector<Ranks>{{0, 2}, {1}}));
  EXPECT_EQ(hosts.most(), 2);
  EXPECT_FALSE(levels.even());
  EXPECT_TRUE(Levels(Labels{0, 0, 1, 1}).even());
  EXPECT_EQ(to_text(levels), "hosts 0 1 0 2 1, groups 0 1 0 0 1");
}

TEST(Levels, LeaveOutWhatDividesNothing) {
  EXPECT_TRUE(Levels().partitions().empty());
  EXPECT_TRUE(Levels(Labels{4, 4, 4}).partitions().empty());
  EXPECT_TRUE(Levels(Labels{0, 1, 2}).partitions().empty());
  EXPECT_TRUE(Levels(Labels{0, 1, 2}, Labels{0, 1, 2}).partitions().empty());
  EXPECT_EQ(Levels(Labels{0, 1, 2}, Labels{0, 0, 2}).partitions().size(), 1u);
  EXPECT_EQ(Levels(Labels{0, 0, 2}, Labels{1, 1, 2}).partitions().size(), 1u);
}

// Ranks 0, 1 and 2 are one of two that exchange a block; rank 3 is the other.
Schedule exchange() {
  Builder builder(2, 1);
  builder.combine({input(block(0))}, {output(block(0)), peer(1, block(0))});
  builder.combine({output(block(0)), peer(1, block(0))}, {output(block(0))});
  builder.finish();
  return std::move(builder).build();
}
const Rail kByRank1{{1, 3}, {0}, {0, 1, 2}, {1, 2}}, kByRank2{{2, 3}, {1}, {0, 1, 2}, {1, 2}};

std::string on_one(Rank self, const Rail& rail, bool keeps = false) {
  return to_text(on_rails(exchange(), {self, 4, 0, 1, keeps}, std::span(&rail, 1)), self);
}

TEST(OnRails, SpeakerTakesAllInputsAndGivesTheResult) {
  EXPECT_EQ(on_one(1, kByRank1),
            "rank 1 of 4: 2 steps, 1 block\n"
            "   0  peer 0: 0 + input 0 + peer 2: 0 -> output 0, peer 3: 0\n"
            "   1  output 0 + peer 3: 0 -> output 0, peer 2: 0   (finishes; after 0)\n");
  EXPECT_EQ(on_one(2, kByRank1),
            "rank 2 of 4: 2 steps, 1 block\n"
            "   0  input 0 -> peer 1: 0\n"
            "   1  peer 1: 0 -> output 0   (after 0)\n");
  EXPECT_EQ(on_one(0, kByRank1),
            "rank 0 of 4: 1 step, 1 block\n"
            "   0  input 0 -> peer 1: 0\n");
}

TEST(OnRails, ResultsHaveALaneOfTheirOwn) {
  const Rail rails[] = {kByRank1, kByRank2};
  EXPECT_EQ(to_text(on_rails(exchange(), {1, 4, 0, 2}, rails), 1),
            "rank 1 of 4: 4 steps, 2 blocks, 2 lanes\n"
            "   0  peer 0: 0 + input 0 + peer 2: 0 -> output 0, peer 3: 0\n"
            "   1  output 0 + peer 3: 0 -> output 0, peer 2 lane 1: 0   (finishes; after 0)\n"
            "   2  input 1 -> peer 2: 1\n"
            "   3  peer 2 lane 1: 1 -> output 1   (after 2)\n");
}

TEST(OnRails, GiverMayKeepACopy) {
  EXPECT_EQ(on_one(0, {{1, 3}, {0}, {0}, {1}}, true),
            "rank 0 of 4: 1 step, 1 block\n"
            "   0  input 0 -> peer 1: 0, output 0\n");
}

TEST(OnRails, OthersDoNothing) {
  const Rail rail{{1, 3}, {0}, {}, {}};
  EXPECT_EQ(on_one(0, rail), "rank 0 of 4: 0 steps, 1 block\n");
}

TEST(OnSubset, LeavesOutBlocksThatThereAreNot) {
  Builder builder(2, 4, 4);
  builder.combine({peer(1, run(0, 4))}, {scratch(run(0, 4))});
  builder.combine({scratch(block(1))}, {peer(1, block(1))});
  const Ranks members{0, 1};
  const Labels names{6, kNoBlock, 7, 8};
  EXPECT_EQ(to_text(on_subset(std::move(builder).build(), 2, members, 9, names), 0),
            "rank 0 of 2: 2 steps, 9 blocks, 4 scratch slots\n"
            "   0  peer 1: 6 -> scratch 0\n"
            "   1  peer 1: 7..8 -> scratch 2..3\n");
}

}  // namespace
}  // namespace hansa
