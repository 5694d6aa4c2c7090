// What the checker says of schedules that move well but to the wrong end, or at another cost than stated.
#include "tests/schedule/hand_made.hpp"

namespace hansa {
namespace {

TEST(CheckValues, EveryContributionOnce) {
  auto all = exchange();
  all[1].steps[1].finish = false;
  expect_wrong(kPair, all, {"rank 1 at the end", "output block 0 was never finished"});
  all = exchange();
  all[1].steps[0].finish = true;
  expect_wrong(kPair, all, {"rank 1 step 0", "finishes block 0 without rank 0's contribution"});
  const Query one = query(Collective::kAllReduce, 1);
  expect_wrong(one, each(1, 1, 0, [](Builder&, Rank) {}), {"output block 0 was never written"});
  expect_wrong(one,
               each(1, 1, 0, [](Builder& b, Rank) { b.combine({output(block(0))}, {output(block(0))}); }),
               {"reads block 0 from output, where nothing was written"});
  expect_wrong(one,
               each(1, 1, 1,
                    [](Builder& b, Rank) {
                      b.combine({input(block(0))}, {scratch(block(0))});
                      b.combine({input(block(0)), scratch(block(0))}, {output(block(0))});
                    }),
               {"combines a contribution to block 0 twice"});
}

TEST(CheckValues, DataStayWhatTheyAre) {
  const Query q = query(Collective::kAllReduce, 1);
  expect_wrong(q,
               each(1, 2, 1,
                    [](Builder& b, Rank) {
                      b.combine({input(block(0))}, {scratch(block(0))});
                      b.combine({scratch(block(0))}, {output(block(1))});
                    }),
               {"rank 0 step 1", "scratch holds block 0 where the step carries block 1"});
  const auto again = [](bool combined) {
    return each(1, 1, 1, [=](Builder& b, Rank) {
      b.combine({input(block(0))}, {scratch(block(0))});
      b.finish();
      if (combined) b.combine({scratch(block(0)), input(block(0))}, {output(block(0))});
      if (!combined) b.combine({scratch(block(0))}, {output(block(0))});
      if (!combined) b.finish();
    });
  };
  expect_wrong(q, again(true), {"combines block 0 from scratch, which is finished"});
  expect_wrong(q, again(false), {"finishes block 0 again"});
  expect_wrong(query(Collective::kBroadcast, 1),
               each(1, 1, 1,
                    [](Builder& b, Rank) {
                      b.combine({input(block(0))}, {output(block(0))});
                      b.finish();
                    }),
               {"finishes a block in a collective that does not reduce"});
  expect_wrong(query(Collective::kBroadcast, 1),
               each(1, 1, 1,
                    [](Builder& b, Rank) {
                      b.combine({input(block(0))}, {scratch(block(0))});
                      b.combine({input(block(0)), scratch(block(0))}, {output(block(0))});
                    }),
               {"combines sources in a collective that does not reduce"});
}

TEST(Check, CostIsHeldAgainstTheRow) {
  static constexpr auto kBuild = [](const Query& q, Rank self) { return ring_of(self, q.ranks); };
  static constexpr auto kSent = [](const Query& q, Rank from, Rank to) -> std::uint64_t {
    return to == (from + 1) % q.ranks && q.ranks > 1 ? 2 * static_cast<std::uint64_t>(q.ranks - 1) : 0;
  };
  static constexpr auto kRounds = [](const Query& q) { return 2 * static_cast<std::uint32_t>(q.ranks - 1); };
  Algorithm row{"plain", Collective::kAllReduce, true, [](const Query&) { return true; }, kBuild, kSent,
                kRounds};
  const Query q = query(Collective::kAllReduce, 6);
  const Status right = check(q, row);
  EXPECT_TRUE(right.ok()) << right.message();
  row.rounds = [](const Query&) { return 9u; };
  EXPECT_NE(check(q, row).message().find("longest chain of messages is 10, the row states 9"),
            std::string::npos);
  row.blocks_sent = [](const Query&, Rank, Rank) { return std::uint64_t{7}; };
  EXPECT_NE(check(q, row).message().find("rank 0 sends 0 blocks to rank 0, the row states 7"),
            std::string::npos);
}

}  // namespace
}  // namespace hansa
