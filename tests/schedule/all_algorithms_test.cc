// Every row of the table is proven for every rank count up to 64; with --long up to 260.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string_view>

#include "queries.hpp"
#include "schedule/check.hpp"
#include "schedule/print.hpp"

namespace hansa::test {
namespace {

#ifdef HANSA_SANITIZED
Rank most_ranks = 20;  // the checker itself is what sanitizers look at
#else
Rank most_ranks = 64;
#endif

class EveryRow : public testing::TestWithParam<Algorithm> {};

// The first wrong query, and how many were proven.
struct Outcome {
  std::mutex mutex;
  Status wrong;
  std::atomic<std::size_t> proven{0};

  void take(const Status& status) {
    if (status.ok()) ++proven;
    if (status.ok()) return;
    const std::lock_guard lock(mutex);
    if (wrong.ok()) wrong = status;
  }
};

TEST_P(EveryRow, IsProven) {
  const Algorithm row = GetParam();
  std::vector<Query> all;
  for (Rank ranks = most_ranks; ranks >= 1; --ranks)
    for (const Query& query : queries(row, ranks)) all.push_back(query);
  Outcome outcome;
  const auto begin = std::chrono::steady_clock::now();
  in_parallel(all.size(), [&](std::size_t i) { outcome.take(check(all[i], row)); });
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_TRUE(outcome.wrong.ok()) << outcome.wrong.message();
  EXPECT_FALSE(all.empty()) << "supports nothing";
  fmt::print("{:<32} {:>6} of {:>6} queries proven in {:.2f} s\n", row_name(row), outcome.proven.load(),
             all.size(), took);
}

TEST_P(EveryRow, IsProvenAsPlans) {
  const Algorithm row = GetParam();
  struct Case {
    Query query;
    std::uint32_t slots;
  };
  std::vector<Case> all;
  for (Rank ranks = most_ranks; ranks >= 1; --ranks) {
    if (ranks > 17 && ranks != 31 && ranks != 32 && ranks != 33 && ranks != most_ranks) continue;
    for (const Query& query : queries(row, ranks))
      for (const std::uint32_t slots : {2u, 4u, 8u})
        if (query.root == 0 || query.root == ranks - 1) all.push_back({query, slots});
  }
  Outcome outcome;
  in_parallel(all.size(), [&](std::size_t i) {
    std::vector<Plan> plans;
    for (const Schedule& schedule : build_all(row, all[i].query)) plans.push_back(lower(schedule));
    const Query& query = all[i].query;
    outcome.take(check_plans(query, plans, {all[i].slots, 3})
                     .within(fmt::format("{} ranks{}, root {}, radix {}", query.ranks,
                                         query.levels ? " on " + to_text(*query.levels) : "", query.root,
                                         query.radix)));
  });
  EXPECT_TRUE(outcome.wrong.ok()) << outcome.wrong.message();
}

// Where memory can be reached, some rows have direct plans too.
TEST_P(EveryRow, IsProvenAsDirectPlans) {
  const Algorithm row = GetParam();
  std::vector<Query> all;
  for (Rank ranks = 17; ranks >= 1; --ranks)
    for (const Query& query : queries(row, ranks)) all.push_back(query);
  Outcome outcome;
  in_parallel(all.size(), [&](std::size_t i) {
    const std::vector<Schedule> schedules = build_all(row, all[i]);
    std::vector<Plan> plans;
    for (Rank self = 0; self < all[i].ranks; ++self)
      if (auto plan = lower_direct(schedules, self)) plans.push_back(*std::move(plan));
    if (plans.empty()) return;
    outcome.take(check_plans(all[i], plans, {2, 3}).within(fmt::format("{} ranks", all[i].ranks)));
  });
  EXPECT_TRUE(outcome.wrong.ok()) << outcome.wrong.message();
  if (outcome.proven > 0) fmt::print("{}: {} direct plans\n", row_name(row), outcome.proven.load());
}

INSTANTIATE_TEST_SUITE_P(Table, EveryRow,
                         testing::ValuesIn(builtin_algorithms().begin(), builtin_algorithms().end()),
                         [](const auto& instance) { return row_name(instance.param); });

}  // namespace
}  // namespace hansa::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]) == "--long") hansa::test::most_ranks = 260;
  return RUN_ALL_TESTS();
}
