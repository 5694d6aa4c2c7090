// Plans: random groups of sends and receives are proven, and every kind of wrong plan is named.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "schedule/check.hpp"

namespace hansa {
namespace {

void expect_wrong(const Query& query, const std::vector<Plan>& plans, const PlanLimits& limits,
                  std::initializer_list<const char*> words) {
  const Status status = check_plans(query, plans, limits);
  ASSERT_FALSE(status.ok()) << "nobody noticed";
  for (const char* word : words)
    EXPECT_NE(status.message().find(word), std::string_view::npos)
        << "'" << word << "' in: " << status.message();
}

// Sends and receives of all ranks, each rank's grouped in an order of its own; some to itself.
std::vector<Plan> random_group(Rank ranks, std::mt19937& random) {
  struct Call {
    bool send;
    Rank peer;
  };
  std::vector<std::vector<Call>> calls(static_cast<std::size_t>(ranks));
  for (Rank from = 0; from < ranks; ++from)
    for (Rank to = 0; to < ranks; ++to)
      for (auto k = random() % 4; k > 0; --k) {
        calls[static_cast<std::size_t>(from)].push_back({true, to});
        calls[static_cast<std::size_t>(to)].push_back({false, from});
      }
  std::vector<Plan> plans;
  for (auto& list : calls) {
    std::shuffle(list.begin(), list.end(), random);
    Builder builder(ranks, static_cast<std::uint32_t>(std::max<std::size_t>(list.size(), 1)));
    for (std::uint32_t i = 0; i < list.size(); ++i)
      list[i].send ? builder.combine({input(block(i))}, {peer(list[i].peer, block(i))})
                   : builder.combine({peer(list[i].peer, block(i))}, {output(block(i))});
    plans.push_back(lower(std::move(builder).build(), {ChunkOrder::kStepMajor, 2}));
  }
  return plans;
}

TEST(CheckPlans, RandomGroupsMatchAndEnd) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const Rank ranks = 1 + static_cast<Rank>(random() % 9);
    const auto plans = random_group(ranks, random);
    for (const std::uint32_t slots : {2u, 4u, 8u}) {
      const Status status = check_plans({Collective::kPointToPoint, ranks, 0, 2}, plans, {slots, 5});
      ASSERT_TRUE(status.ok()) << "round " << round << ", " << slots << " slots: " << status.message();
    }
  }
}

TEST(CheckPlans, GroupsThatDoNotMatch) {
  std::mt19937 random(2);
  int unmatched = 0;
  for (int round = 0; round < 100; ++round) {
    const Rank ranks = 2 + static_cast<Rank>(random() % 5);
    auto plans = random_group(ranks, random);
    Plan& one = plans[random() % plans.size()];
    if (one.schedule.steps.empty()) continue;
    Schedule shorter = one.schedule;
    shorter.steps.pop_back();
    one = lower(shorter, {ChunkOrder::kStepMajor, 2});
    expect_wrong({Collective::kPointToPoint, ranks, 0, 2}, plans, {}, {"nobody"});
    ++unmatched;
  }
  EXPECT_GT(unmatched, 50);
}

const Query kPair{Collective::kBroadcast, 2, 0, 2};

// Rank 0 gives `messages` blocks to rank 1, which adds the first only after a word on lane 1 that follows the
// last.
const Query kAdd{Collective::kReduce, 2, 1, 2};
std::vector<Plan> word_after(std::uint32_t messages) {
  Builder sender(2, messages), receiver(2, messages, 1);
  std::uint32_t last = 0;
  for (std::uint32_t m = 0; m < messages; ++m) last = sender.combine({input(block(m))}, {peer(1, block(m))});
  sender.combine({input(block(0))}, {peer(1, block(0), 1)});
  sender.after(last);
  const auto word = receiver.combine({peer(0, block(0), 1)}, {scratch(block(0))});
  for (std::uint32_t m = 0; m < messages; ++m) {
    receiver.combine({peer(0, block(m)), input(block(m))}, {output(block(m))});
    receiver.finish().after(word);
  }
  return {lower(std::move(sender).build()), lower(std::move(receiver).build())};
}

TEST(CheckPlans, ChannelsThatFillUp) {
  // A received operand of a combine has staging of its own in a schedule; in a plan it has the channel's
  // slots.
  const Status enough = check_plans(kAdd, word_after(2), {2, 3});
  EXPECT_TRUE(enough.ok()) << enough.message();
  expect_wrong(kAdd, word_after(3), {2, 3},
               {"with 2 slots: deadlock", "rank 0 step 2 chunk 0", "which has to empty the channel"});
  const Status more = check_plans(kAdd, word_after(3), {3, 3});
  EXPECT_TRUE(more.ok()) << more.message();
}

TEST(CheckPlans, ScratchHoldsChunksTogether) {
  // Two messages through scratch on one channel: step by step, the first cannot end before the second begins.
  const auto plans = [](ChunkOrder order) {
    Builder sender(2, 2, 1), receiver(2, 2);
    for (const std::uint32_t m : {0u, 1u}) {
      sender.combine({input(block(m))}, {output(block(m)), scratch(block(0))});
      sender.combine({scratch(block(0))}, {peer(1, block(m))});
      receiver.combine({peer(0, block(m))}, {output(block(m))});
    }
    return std::vector{lower(std::move(sender).build(), {order, 2}),
                       lower(std::move(receiver).build(), {order, 2})};
  };
  const Status right = check_plans(kPair, plans(ChunkOrder::kChunkMajor), {2, 5});
  EXPECT_TRUE(right.ok()) << right.message();
  expect_wrong(kPair, plans(ChunkOrder::kStepMajor), {2, 5}, {"deadlock", "scratch for more chunks"});
}

TEST(CheckPlans, BindingsThatAreNotTheSchedules) {
  const auto good = word_after(2);
  const auto with = [&](const std::function<void(Plan&)>& damage) {
    auto plans = good;
    damage(plans[0]);
    return plans;
  };
  const auto fails = [&](const std::function<void(Plan&)>& damage, const char* word) {
    expect_wrong(kAdd, with(damage), {2, 3}, {"rank 0", word});
  };
  fails([](Plan& p) { p.window = 0; }, "window of 0");
  fails([](Plan& p) { p.channel_of.pop_back(); }, "not given by operand");
  fails([](Plan& p) { p.mechanism_of.pop_back(); }, "not given by operand");
  fails([](Plan& p) { p.channels.push_back(p.channels[0]); }, "two channels to rank 1");
  fails([](Plan& p) { std::swap(p.channel_of[1], p.channel_of[0]); }, "bound to the wrong channel");
  fails([](Plan& p) { p.channels[0].peer = 0; }, "bound to the wrong channel");
  fails([](Plan& p) { std::swap(p.channels[0].steps[0], p.channels[0].steps[1]); }, "lists other steps");
  fails([](Plan& p) { p.channels[0].steps.pop_back(); }, "lists other steps");
  fails([](Plan& p) { p.schedule.largest_message = 0; }, "the largest is said to have 0");
  fails([](Plan& p) { p.order = ChunkOrder::kStepMajor; }, "orders or moves chunks otherwise");
  fails([](Plan& p) { p.mechanism_of[1] = Mechanism::kPull; }, "in different ways");
  fails([](Plan& p) { p.schedule.repeats = {{0, 1, 1, 0, 0}}; }, "has repeats");
  expect_wrong(kAdd, good, {0, 3}, {"no slots"});
  expect_wrong(kAdd, good, {2, 0}, {"no chunks"});
}

// Rank 1 takes the block, gives it back and gets it once more; `waits`: not before rank 0 has read what it
// gave.
std::vector<Plan> there_and_back(bool waits) {
  Builder zero(2, 1, 1), one(2, 1);
  const Blocks b = block(0);
  zero.combine({input(b)}, {output(b)});
  zero.combine({input(b)}, {peer(1, b)});
  const auto back = zero.combine({peer(1, b)}, {scratch(block(0))});
  zero.combine({input(b)}, {peer(1, b, 1)});
  if (waits) zero.after(back);
  const auto first = one.combine({peer(0, b)}, {output(b)});
  one.combine({output(b)}, {peer(0, b)});
  one.combine({peer(0, b, 1)}, {output(b)});
  std::vector plans{lower(std::move(zero).build()), lower(std::move(one).build())};
  // The last step of rank 1 waits for nobody there; only rank 0's messages hold it back.
  Schedule& schedule = plans[1].schedule;
  schedule.deps[schedule.steps[2].deps] = first;
  schedule.steps[2].dep_count = 1;
  // All is pulled; what is read in place then is read later than its step says.
  for (Plan& plan : plans) {
    plan.direct = true;
    for (std::uint32_t k = 0; k < plan.channel_of.size(); ++k)
      if (plan.channel_of[k] != kNoChannel) plan.mechanism_of[k] = Mechanism::kPull;
  }
  return plans;
}

TEST(CheckPlans, MemoryThatIsReachedDirectly) {
  const Status right = check_plans(kPair, there_and_back(true), {2, 1});
  EXPECT_TRUE(right.ok()) << right.message();
  expect_wrong(kPair, there_and_back(false), {2, 1}, {"race"});
  auto plans = there_and_back(true);
  plans[0].mechanism_of[3] = Mechanism::kPush;
  expect_wrong(kPair, plans, {2, 1}, {"in different ways"});
  plans = there_and_back(true);
  plans[0].mechanism_of[3] = plans[1].mechanism_of[0] = Mechanism::kStaged;
  expect_wrong(kPair, plans, {2, 1}, {"direct as a whole or not at all"});
  plans = there_and_back(true);
  plans[1].schedule.deps[plans[1].schedule.steps[2].deps] = 1;
  expect_wrong(kPair, plans, {2, 1}, {"rank 1 step 1: offers memory, and a step depends on it"});
  plans = there_and_back(true);
  plans[1].direct = false;
  expect_wrong(kPair, plans, {2, 1}, {"rank 1 orders or moves chunks otherwise"});
}

}  // namespace
}  // namespace hansa
