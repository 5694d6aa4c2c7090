// The runner of random orders, by which the checker is judged, sees what orders can do.
#include "tests/support/random_order.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "queries.hpp"

namespace hansa::test {
namespace {

int wrong_runs(const Query& query, const std::vector<Schedule>& schedules, bool in_place) {
  RandomOrder runs(query, schedules, in_place);
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) wrong += !runs.run(seed).empty();
  return wrong;
}

TEST(RandomOrder, EveryRowIsRightInEveryOrder) {
  for (const Algorithm& row : builtin_algorithms())
    for (const Rank ranks : {1, 2, 5, 8})
      for (const Query& query : queries(row, ranks)) {
        if (query.radix > 3) continue;
        for (const bool in_place : {false, true})
          EXPECT_EQ(wrong_runs(query, build_all(row, query), in_place), 0) << row_name(row) << ' ' << ranks;
      }
}

// Two ranks exchange and add; `ordered`: the sum is written after the input was sent.
std::vector<Schedule> exchange(bool ordered, bool finish) {
  std::vector<Schedule> all;
  for (Rank self = 0; self < 2; ++self) {
    Builder builder(2, 1);
    builder.combine({input(block(0))}, {peer(1 - self, block(0))});
    builder.combine({input(block(0)), peer(1 - self, block(0))}, {output(block(0))});
    if (finish) builder.finish();
    all.push_back(std::move(builder).build());
    if (!ordered) all.back().steps[1].dep_count = 0;
  }
  return all;
}

TEST(RandomOrder, SeesARaceInPlaceOnly) {
  const Query query{Collective::kAllReduce, 2, 0, 2};
  EXPECT_EQ(wrong_runs(query, exchange(true, true), true), 0);
  EXPECT_EQ(wrong_runs(query, exchange(false, true), false), 0);
  const int wrong = wrong_runs(query, exchange(false, true), true);
  EXPECT_GT(wrong, 10);
  EXPECT_LT(wrong, 200);
  EXPECT_EQ(wrong_runs(query, exchange(true, false), false), 200);
}

TEST(RandomOrder, SeesBytesLandBeforeTheirTurn) {
  // Rank 0 sends two messages; rank 1 reads its slot for the first one's answer while the second lands in it.
  const Query query{Collective::kBroadcast, 2, 0, 2};
  std::vector<Schedule> all;
  Builder sender(2, 2), receiver(2, 2, 1);
  for (const std::uint32_t m : {0u, 1u})
    sender.combine({input(block(m))}, {output(block(m)), peer(1, block(m))});
  for (const std::uint32_t m : {0u, 1u}) {
    receiver.combine({peer(0, block(m))}, {scratch(block(0))});
    receiver.combine({scratch(block(0))}, {output(block(m))});
  }
  all.push_back(std::move(sender).build());
  all.push_back(std::move(receiver).build());
  EXPECT_EQ(wrong_runs(query, all, false), 0);
  all[1].steps[2].dep_count = 0;
  EXPECT_GT(wrong_runs(query, all, false), 10);
}

TEST(RandomOrder, SeesADeadlock) {
  const Query query{Collective::kAllReduce, 2, 0, 2};
  std::vector<Schedule> all;
  for (Rank self = 0; self < 2; ++self) {
    Builder builder(2, 1);
    builder.combine({input(block(0)), peer(1 - self, block(0))},
                    {output(block(0)), peer(1 - self, block(0))});
    all.push_back(std::move(builder).build());
  }
  EXPECT_EQ(RandomOrder(query, all, false).run(1), "some steps never run");
}

}  // namespace
}  // namespace hansa::test
