// The checker against damage: every step of every row's schedules at 5 to 8 ranks is damaged in each way.
// What the checker lets pass is run in 1,000 random orders in place and 1,000 with separate buffers; what is
// right in all of them did no harm, the rest was missed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <mutex>

#include "mutants.hpp"
#include "queries.hpp"
#include "schedule/check.hpp"
#include "tests/support/layouts.hpp"
#include "tests/support/random_order.hpp"

namespace hansa::test {
namespace {

constexpr int kOrders = 1000;
#ifdef HANSA_SANITIZED
constexpr Rank kFewest = 5, kMost = 5;  // the checker itself is what sanitizers look at
#else
constexpr Rank kFewest = 5, kMost = 8;
#endif

struct Tally {
  std::size_t mutants = 0, caught = 0, equivalent = 0, missed = 0;
  std::array<std::size_t, kDamages> survivors_by{};
  std::vector<std::string> survivors;

  void add(const Tally& other) {
    mutants += other.mutants;
    caught += other.caught;
    equivalent += other.equivalent;
    missed += other.missed;
    for (int d = 0; d < kDamages; ++d)
      survivors_by[static_cast<std::size_t>(d)] += other.survivors_by[static_cast<std::size_t>(d)];
    survivors.insert(survivors.end(), other.survivors.begin(), other.survivors.end());
  }
};

// Empty if every order gave the right result.
std::string first_wrong_order(const Query& query, std::span<const Schedule> schedules) {
  for (const bool in_place : {true, false}) {
    RandomOrder runs(query, schedules, in_place);
    for (int seed = 0; seed < kOrders; ++seed)
      if (std::string wrong = runs.run(static_cast<std::uint64_t>(seed)); !wrong.empty())
        return fmt::format("seed {}{}: {}", seed, in_place ? " in place" : "", wrong);
  }
  return {};
}

// Of the layouts one for each number of ranks, another for the next.
bool is_chosen(const Levels* levels, Rank ranks) {
  const auto all = layouts(ranks);
  return levels == nullptr || levels == all[static_cast<std::size_t>(ranks) % all.size()];
}

Tally mutate(const Algorithm& row, const Query& query) {
  Tally tally;
  std::vector<Schedule> all;
  for (const Schedule& schedule : build_all(row, query)) all.push_back(expand(schedule));
  for (Rank rank = 0; rank < query.ranks; ++rank) {
    const Schedule whole = all[static_cast<std::size_t>(rank)];
    for_each_mutant(whole, [&](Damage damage, const Schedule& mutant, const std::string& what) {
      ++tally.mutants;
      all[static_cast<std::size_t>(rank)] = mutant;
      if (!check_schedules(query, all).ok()) {
        ++tally.caught;
        return;
      }
      const std::string wrong = first_wrong_order(query, all);
      ++(wrong.empty() ? tally.equivalent : tally.missed);
      ++tally.survivors_by[static_cast<std::size_t>(damage)];
      tally.survivors.push_back(fmt::format("{} {}, {} ranks, root {}, radix {}: rank {} {}: {}",
                                            hansa::name_of(row.collective), row.name, query.ranks, query.root,
                                            query.radix, rank, what, wrong.empty() ? "equivalent" : wrong));
    });
    all[static_cast<std::size_t>(rank)] = whole;
  }
  return tally;
}

TEST(Mutation, TheCheckerCatchesDamage) {
  struct Job {
    const Algorithm* row;
    Query query;
  };
  std::vector<Job> jobs;
  for (const Algorithm& row : builtin_algorithms())
    for (Rank ranks = kFewest; ranks <= kMost; ++ranks)
      for (const Query& query : queries(row, ranks))
        if ((query.root == 0 || query.root == 2) && query.radix <= 4 && is_chosen(query.levels, ranks))
          jobs.push_back({&row, query});
  std::mutex mutex;
  std::vector<Tally> by_row(builtin_algorithms().size());
  in_parallel(jobs.size(), [&](std::size_t i) {
    const Tally tally = mutate(*jobs[i].row, jobs[i].query);
    const std::lock_guard lock(mutex);
    by_row[static_cast<std::size_t>(jobs[i].row - builtin_algorithms().data())].add(tally);
  });
  Tally total;
  fmt::print("{:<34} {:>8} {:>8} {:>11} {:>7}\n", "algorithm", "mutants", "caught", "equivalent", "missed");
  const auto line = [](std::string_view name, const Tally& t) {
    fmt::print("{:<34} {:>8} {:>8} {:>11} {:>7}\n", name, t.mutants, t.caught, t.equivalent, t.missed);
  };
  for (std::size_t r = 0; r < by_row.size(); ++r) {
    line(row_name(builtin_algorithms()[r]), by_row[r]);
    total.add(by_row[r]);
  }
  line("all", total);
  for (const std::string& survivor : total.survivors) fmt::print("survivor: {}\n", survivor);
  EXPECT_GE(static_cast<double>(total.caught), 0.99 * static_cast<double>(total.caught + total.missed));
  EXPECT_GT(total.mutants, kMost == 8 ? 10000u : 1000u);
}

}  // namespace
}  // namespace hansa::test
