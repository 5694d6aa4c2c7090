// The checker against schedules made by hand: right ones pass, and every kind of wrong one is named.
#include "tests/schedule/hand_made.hpp"

namespace hansa {
namespace {

TEST(Check, RingIsRightForManyRanks) {
  for (const Rank n : {1, 2, 3, 4, 5, 7, 8, 16, 31, 64})
    expect_right(query(Collective::kAllReduce, n), ring(n));
}

TEST(Check, BarrierAndVariableFormsAreTheirPlainForm) {
  expect_right(query(Collective::kBarrier, 5), ring(5));
  const auto gather_all = each(2, 2, 0, [](Builder& b, Rank self) {
    const auto own = block(static_cast<std::uint32_t>(self)),
               other = block(static_cast<std::uint32_t>(1 - self));
    b.combine({input(own)}, {output(own), peer(1 - self, own)});
    b.combine({peer(1 - self, other)}, {output(other)});
  });
  expect_right(query(Collective::kAllGather, 2), gather_all);
  expect_right(query(Collective::kAllGatherV, 2), gather_all);
}

TEST(Check, RepeatsAreProvenWrittenOut) {
  // A chain of four blocks: the middle rank passes them on in a repeat.
  const auto chain = each(3, 4, 0, [](Builder& b, Rank self) {
    b.begin_repeat(4, 1);
    if (self == 0) b.combine({input(block(0))}, {output(block(0)), peer(1, block(0))});
    if (self == 1) b.combine({peer(0, block(0))}, {output(block(0)), peer(2, block(0))});
    if (self == 2) b.combine({peer(1, block(0))}, {output(block(0))});
    b.end_repeat();
  });
  expect_right(query(Collective::kBroadcast, 3), chain);
  auto late = chain;
  late[1].operands[2].blocks.first = 1;
  expect_wrong(query(Collective::kBroadcast, 3), late, {"rank 1 step 0 (step 0 in round 0)", "block"});
}

TEST(CheckForm, CountsAndRanges) {
  expect_wrong(query(Collective::kAllReduce, 3), exchange(), {"2 schedules for 3 ranks"});
  const auto with = [](const std::function<void(Schedule&)>& damage) {
    auto all = exchange();
    damage(all[1]);
    return all;
  };
  expect_wrong(kPair, with([](Schedule& s) { s.ranks = 3; }), {"rank 1", "made for 3 ranks"});
  expect_wrong(kPair, with([](Schedule& s) { s.blocks = 0; }), {"rank 1", "no blocks"});
  expect_wrong(kPair, with([](Schedule& s) { s.blocks = 2; }), {"rank 1 cuts the data into 2 blocks"});
  expect_wrong(kPair, with([](Schedule& s) { s.largest_message = 2; }),
               {"rank 1 states a largest message of 2"});
  expect_wrong(kPair, with([](Schedule& s) { s.largest_message = 0; }), {"largest is said to have 0"});
  expect_wrong(kPair, with([](Schedule& s) { s.steps[1].sources = 0; }), {"rank 1", "step 1", "no source"});
  expect_wrong(kPair, with([](Schedule& s) { s.steps[1].destinations = 0; }), {"no destination"});
  expect_wrong(kPair, with([](Schedule& s) { s.steps[1].destinations = 2; }), {"operands are out of range"});
  expect_wrong(kPair, with([](Schedule& s) { s.steps[1].operands = 0; }), {"shares operands"});
  expect_wrong(kPair, with([](Schedule& s) { s.steps[1].dep_count = 2; }), {"dependencies are out of range"});
  expect_wrong(kPair, with([](Schedule& s) { s.deps = {7}, s.steps[1].dep_count = 1; }), {"which is none"});
  expect_wrong(kPair, with([](Schedule& s) { s.deps = {1}, s.steps[1].dep_count = 1; }),
               {"does not come before"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].peer = 2; }), {"peer 2 is none of 2 ranks"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].peer = -1; }), {"peer -1"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].lane = 1; }), {"lane 1 of 1"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].blocks.first = 1; }), {"block 1 of 1"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].blocks.count = 0; }), {"carries no block"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].blocks.count = 2; }), {"carries 2 blocks of 1"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[1].blocks.stride = 0xffffffffu; }),
               {"leave 32 bits"});
  expect_wrong(kPair, with([](Schedule& s) { s.operands[0].place = Place::kScratch; }),
               {"carries 1 blocks of 0"});
  expect_wrong(kPair, with([](Schedule& s) { s.repeats = {{0, 3, 1, 0, 0}}; }), {"steps that do not exist"});
  expect_wrong(kPair, with([](Schedule& s) { s.repeats = {{0, 1, 0, 0, 0}}; }), {"repeat of nothing"});
  expect_wrong(kPair, with([](Schedule& s) { s.repeats = {{0, 2, 1, 0, 0}, {1, 1, 1, 0, 0}}; }), {"overlap"});
  expect_wrong(query(Collective::kAllGather, 2), exchange(), {"has 1 blocks, the collective has 2"});
}

TEST(CheckSteps, Operands) {
  const auto pair = [](const std::function<void(Builder&)>& step) {
    return each(2, 4, 4, [&](Builder& b, Rank self) {
      if (self == 1) step(b);
    });
  };
  const Query q = query(Collective::kAllReduce, 2);
  expect_wrong(q, pair([](Builder& b) {
                 b.combine({input(block(0)), input(block(0))}, {output(block(0))});
               }),
               {"rank 1 step 0", "input as a source more than once"});
  expect_wrong(q, pair([](Builder& b) { b.combine({output(block(0))}, {input(block(0))}); }),
               {"writes the input"});
  expect_wrong(q, pair([](Builder& b) { b.combine({scratch(block(0))}, {scratch(block(1))}); }),
               {"only scratch"});
  expect_wrong(q, pair([](Builder& b) { b.combine({input(run(0, 2))}, {output(block(0))}); }),
               {"carries 2 blocks"});
  expect_wrong(q, pair([](Builder& b) { b.combine({input(block(0))}, {output(block(1))}); }),
               {"input carries block 0 where output carries block 1"});
  expect_wrong(q, pair([](Builder& b) {
                 b.combine({input({0, 1, 2, 3})}, {output({0, 1, 2, 3})});
               }),
               {"names block 0 twice"});
  expect_wrong(q, pair([](Builder& b) {
                 b.combine({input(block(0))}, {output(block(0)), output(block(0))});
               }),
               {"writes output block 0 twice"});
  expect_wrong(q, pair([](Builder& b) {
                 b.combine({input(run(0, 2)), scratch(run(0, 2))}, {scratch(run(1, 2))});
               }),
               {"reads scratch block 1 and writes it with another block"});
  expect_wrong(q, pair([](Builder& b) {
                 b.combine({input(block(0))}, {peer(0, block(0)), peer(0, block(0))});
               }),
               {"uses the channel to peer 0 twice"});
}

TEST(CheckSteps, BlocksThatARankDoesNotHave) {
  const auto touch = [](Operand from, Operand to, std::uint32_t blocks) {
    return each(2, blocks, 1, [&](Builder& b, Rank self) {
      if (self == 1) b.combine({from}, {to});
    });
  };
  const Operand in0 = input(block(0)), out0 = output(block(0)), any = scratch(block(0));
  const auto misses = [](Collective c, const Schedules& s, const char* what) {
    expect_wrong(query(c, 2), s, {"rank 1 step 0", what, "block 0, which this rank does not have"});
  };
  misses(Collective::kBroadcast, touch(in0, any, 1), "input");
  misses(Collective::kReduce, touch(in0, out0, 1), "output");
  misses(Collective::kAllGather, touch(in0, any, 2), "input");
  misses(Collective::kGather, touch(in0, any, 2), "input");
  misses(Collective::kGather, touch(any, out0, 2), "output");
  misses(Collective::kReduceScatter, touch(any, out0, 2), "output");
  misses(Collective::kScatter, touch(in0, any, 2), "input");
  misses(Collective::kScatter, touch(any, out0, 2), "output");
  misses(Collective::kAllToAll, touch(in0, any, 4), "input");
  misses(Collective::kAllToAll, touch(any, out0, 4), "output");
}

TEST(CheckMessages, MatchInOrder) {
  auto all = exchange();
  all[0].steps.pop_back();
  expect_wrong(kPair, all, {"rank 1 step 0", "rank 0 on lane 0 that nobody receives"});
  all = exchange();
  all[0].steps[1].dep_count = 0;
  all[0].steps.erase(all[0].steps.begin());
  expect_wrong(kPair, all, {"rank 1 step 1", "rank 0 on lane 0 that nobody sends"});
  all = exchange();
  all[0].lanes = 2;
  all[0].operands[1].lane = 1;
  expect_wrong(kPair, all, {"nobody"});
  const auto two = [](std::uint32_t first, std::uint32_t second, Blocks received) {
    return each(2, 2, 0, [&](Builder& b, Rank self) {
      for (const auto x : {first, second})
        if (self == 0) b.combine({input(block(x))}, {peer(1, block(x))});
      if (self == 0) b.combine({input(run(0, 2))}, {output(run(0, 2))});
      if (self == 0) return;
      b.combine({peer(0, received)}, {output(received)});
      if (received.size() == 1) b.combine({peer(0, block(1))}, {output(block(1))});
      if (received.size() == 2) b.combine({peer(0, received)}, {output(received)});
    });
  };
  const Query broadcast = query(Collective::kBroadcast, 2);
  expect_right(broadcast, two(0, 1, block(0)));
  expect_wrong(broadcast, two(1, 0, block(0)),
               {"rank 0 step 0 sends block 1, which rank 1 step 0 receives as block 0"});
  expect_wrong(broadcast, two(0, 1, run(0, 2)), {"rank 0 step 0 sends 1 blocks", "receives as 2"});
}

TEST(CheckProgress, DeadlocksAreToldInWords) {
  // Each rank gives its message only together with the one it takes.
  const auto grip = each(2, 1, 0, [](Builder& b, Rank self) {
    b.combine({input(block(0)), peer(1 - self, block(0))}, {output(block(0)), peer(1 - self, block(0))});
  });
  expect_wrong(kPair, grip,
               {"deadlock", "rank 0 step 0 waits for rank 1 step 0, whose message it receives",
                "rank 1 step 0 waits for rank 0 step 0"});
  // With a place to land there is no deadlock; if both first want to get rid of their own, there is.
  const auto swap = [](bool patient) {
    return each(2, 2, 0, [=](Builder& b, Rank self) {
      const auto own = block(static_cast<std::uint32_t>(self)),
                 other = block(static_cast<std::uint32_t>(1 - self));
      const auto sent = b.combine({input(own)}, {output(own), peer(1 - self, own)});
      b.combine({peer(1 - self, other)}, {output(other)});
      if (patient) b.after(sent);
    });
  };
  expect_right(query(Collective::kAllGather, 2), swap(false));
  expect_wrong(query(Collective::kAllGather, 2), swap(true),
               {"deadlock", "before which its receiver has no place for its message"});
}

TEST(CheckRaces, UnorderedAccesses) {
  const Query q = query(Collective::kAllReduce, 1);
  const auto alone = [](const std::function<void(Builder&)>& build) {
    return each(1, 1, 2, [&](Builder& b, Rank) { build(b); });
  };
  const auto build = [](Builder& b) {
    b.combine({input(block(0))}, {scratch(block(0)), scratch(block(1))});
    b.combine({scratch(block(0))}, {output(block(0))});
    b.finish();
  };
  expect_right(q, alone(build));
  auto all = alone(build);
  all[0].steps[1].dep_count = 0;
  expect_wrong(q, all, {"race", "rank 0 step 0", "rank 0 step 1", "scratch block 0", "in no fixed order"});
  // In place, the output's block is the input's.
  const auto aliased = [](bool ordered) {
    auto list = exchange();
    for (Schedule& s : list)
      if (!ordered) s.steps[1].dep_count = 0, s.deps.clear();
    return list;
  };
  expect_wrong(kPair, aliased(false), {"race", "reads rank 0's input block 0", "writes output", "in place"});
}

// Rank 0 sends block 0 of its output on and gets it back, over a message or over a turn on a channel only.
TEST(CheckRaces, AMessageOrdersButItsTurnOnTheChannelDoesNot) {
  const auto all = [](bool echo) {
    return each(3, 2, 0, [=](Builder& b, Rank self) {
      const Blocks first = block(0), second = block(1);
      if (self == 2) {
        b.combine({input(first)}, {output(first), peer(0, first), peer(1, first)});
        b.combine({input(second)}, {output(second), peer(0, second)});
        if (!echo) b.combine({output(first)}, {peer(0, first)});
        if (!echo) b.combine({input(second)}, {peer(1, second)});
      }
      if (self == 0) {
        b.combine({peer(2, first)}, {output(first)});
        const auto read = b.combine({output(first)}, {peer(1, first, 1)});
        b.combine({peer(2, second)}, {output(second), peer(1, second)});
        b.after(read);
        b.combine({peer(echo ? 1 : 2, first)}, {output(first)});
      }
      if (self == 1) {
        b.combine({peer(2, first)}, {output(first)});
        b.combine({peer(0, first, 1)}, {output(first)});
        b.combine({peer(0, second)}, {output(second)});
        if (echo) b.combine({output(first)}, {peer(0, first)});
        if (!echo) b.combine({peer(2, second)}, {output(second)});
      }
    });
  };
  const Query q = query(Collective::kBroadcast, 3, 2);
  for (const bool echo : {true, false}) {
    auto schedules = all(echo);
    expect_right(q, schedules);
    schedules[0].steps[3].dep_count = 0;
    // The echo leaves rank 1 after it took what rank 0 read. Without it the bytes may land while rank 0 still
    // waits for its turn.
    if (echo) expect_right(q, schedules);
    if (!echo) expect_wrong(q, schedules, {"race", "rank 0 step 3 writes it"});
  }
}

// Where block 1 is shorter than block 0, a chunk may lack the step in between, and with it what it waits for.
TEST(CheckRaces, OrderMustHoldInChunksThatLackOtherBlocks) {
  for (const bool dependent : {true, false}) {
    auto all = each(2, 2, 0, [=](Builder& b, Rank self) {
      const Blocks zero = block(0), one = block(1);
      b.combine({input(zero)}, {peer(1 - self, zero)});
      b.combine({input(one)}, {peer(1 - self, one)});
      if (dependent) b.after(0);
      b.combine({input(zero), peer(1 - self, zero)}, {output(zero)});
      b.finish();
      b.combine({input(one), peer(1 - self, one)}, {output(one)});
      b.finish();
    });
    expect_right(kPair, all);
    for (Schedule& schedule : all) schedule.deps[schedule.steps[2].deps] = 1;
    expect_wrong(kPair, all, {"race", "step 0 reads rank 0's input block 0", "step 2 writes output"});
  }
}

// A slot holds block 0, then 1, then 2. A chunk may have 0 and 2 and not 1.
TEST(CheckRaces, ScratchIsOrderedBetweenAllItsBlocks) {
  const auto all = each(1, 3, 1, [](Builder& b, Rank) {
    for (const std::uint32_t id : {0u, 1u, 2u}) {
      b.combine({input(block(id))}, {scratch(block(0))});
      b.combine({scratch(block(0))}, {output(block(id))});
      b.finish();
    }
  });
  const Query q = query(Collective::kAllReduce, 1);
  expect_right(q, all);
  auto chained = all;
  // What filled the slot anew waits for the step before it only.
  Step& third = chained[0].steps[4];
  chained[0].deps[third.deps] = 3;
  third.dep_count = 1;
  expect_wrong(q, chained,
               {"race", "rank 0 step 0 writes rank 0's scratch block 0 and rank 0 step 4 writes it"});
}

}  // namespace
}  // namespace hansa
