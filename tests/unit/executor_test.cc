// The engine over the reference transport, at its own pace and delayed in every way the rules allow, against
// a serial oracle.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <set>

#include "device/host/combine.hpp"
#include "device/host/host_memory.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/delaying_transport.hpp"
#include "tests/support/layouts.hpp"
#include "transports/inproc/inproc.hpp"
#include "transports/shm/shm.hpp"

namespace hansa::test {
namespace {

using Lower = std::function<Plan(const Algorithm&, const Query&, Rank)>;

Plan lower_staged(const Algorithm& row, const Query& query, Rank rank) {
  return lower(row.build(query, rank));
}

std::string run(Cluster& cluster, const Algorithm& row, const Query& query, std::size_t elements,
                bool in_place, std::uint64_t seed, const Lower& lower_for = lower_staged, bool cut = false) {
  const Exercise exercise(query, elements, in_place);
  HostMemory memory;
  std::vector<std::unique_ptr<Execution>> executions;
  for (Rank rank = 0; rank < query.ranks; ++rank) {
    executions.push_back(std::make_unique<Execution>(lower_for(row, query, rank), cluster.endpoints(rank),
                                                     &choose_host_combine, cluster.poll(rank),
                                                     std::make_shared<Workspace>(&memory)));
    Call call = exercise.call(rank, executions.back()->plan(), cluster.message_bytes());
    if (cut) call.direct_chunk = call.chunk;
    executions.back()->start(call);
  }
  if (!cluster.run(executions, seed)) return "stuck";
  for (const auto& execution : executions)
    if (!execution->failure().ok()) return std::string(execution->failure().message());
  return exercise.judge();
}

std::string describe(const Algorithm& row, const Query& query, std::size_t elements, bool in_place) {
  return std::string(name_of(row.collective)) + " " + std::string(row.name) + ", " +
         std::to_string(query.ranks) + " ranks, root " + std::to_string(query.root) + ", radix " +
         std::to_string(query.radix) + ", " + std::to_string(elements) + " elements" +
         (in_place ? ", in place" : "");
}

// Slots of 64 bytes, so that a few hundred elements are many chunks and cells.
Result<std::unique_ptr<Transport>> open_small(const TransportOptions& options) {
  return open_inproc(options, {64, 4});
}

TEST(Executor, RunsEveryAlgorithmAtEverySize) {
  for (const Rank ranks : {1, 2, 3, 4, 5, 7, 8}) {
    Cluster cluster(ranks, open_small);
    for (const Algorithm& row : builtin_algorithms())
      for (const Rank root : {0, ranks - 1})
        for (const std::size_t elements : {1, 2, 3, 4, 5, 7, 16, 17, 97, 1009})
          for (const bool in_place : {false, true}) {
            if (root > 0 && !rooted(row.collective)) continue;
            if (in_place && row.collective == Collective::kAllToAll) continue;
            for (const Query& query : on_layouts(row, {row.collective, ranks, root, 2}))
              ASSERT_EQ(run(cluster, row, query, elements, in_place, 1), "")
                  << describe(row, query, elements, in_place);
          }
  }
}

// Every row, with one root and the least radix.
void run_all(Cluster& cluster, std::initializer_list<std::size_t> sizes) {
  for (const Algorithm& row : builtin_algorithms())
    for (const std::size_t elements : sizes)
      for (const bool in_place : {false, true}) {
        if (in_place && row.collective == Collective::kAllToAll) continue;
        const Rank root = rooted(row.collective) ? cluster.ranks() - 1 : 0;
        for (const Query& query : on_layouts(row, {row.collective, cluster.ranks(), root, 2}))
          ASSERT_EQ(run(cluster, row, query, elements, in_place, 1), "")
              << describe(row, query, elements, in_place);
      }
}

// All but the first chunk of what is as long goes without slots.
Result<std::unique_ptr<Transport>> open_freight(const TransportOptions& options) {
  return open_inproc(options, {64, 4}, 24);
}

TEST(Executor, RunsEveryAlgorithmWithFreight) {
  for (const Rank ranks : {2, 3, 5, 8}) {
    Cluster cluster(ranks, open_freight);
    run_all(cluster, {1, 17, 97, 1009});
  }
}

// Messages of 128 bytes and more to several peers are posted, of one slot or of two.
TEST(Executor, RunsEveryAlgorithmWithPosts) {
  for (const std::uint32_t slots : {2u, 4u})
    for (const Rank ranks : {3, 8}) {
      Cluster cluster(ranks, [slots](const TransportOptions& options) {
        return open_shm(options, {192, slots});
      });
      ASSERT_NE(cluster.endpoints(0)[1]->capabilities().billboard, nullptr);
      run_all(cluster, {1, 32, 97, 1009});
    }
}

// Posts for nobody, that take long, until the next are to be written past the caches.
void make_slow(Billboard& billboard) {
  for (int i = 0; i < 64 && billboard.streams_from() == SIZE_MAX; ++i) {
    ASSERT_NE(billboard.reserve(0), nullptr);
    usleep(20);
    billboard.commit({}, 4096, 0);
  }
  ASSERT_EQ(billboard.streams_from(), Capabilities::kLeastStreamed);
}

// How many more are.
int still_slow(Billboard& billboard) {
  int posts = 0;
  for (; billboard.streams_from() != SIZE_MAX && billboard.reserve(0) != nullptr; ++posts)
    billboard.commit({}, 4096, 0);
  return posts;
}

// In one step of a straight line, and by chunks.
TEST(Executor, WritesSlowPostsPastTheCaches) {
  for (const Rank ranks : {3, 5}) {
    Cluster cluster(ranks, [](const TransportOptions& options) { return open_shm(options, {4096, 4}); });
    Billboard& of_root = *cluster.endpoints(0)[1]->capabilities().billboard;
    make_slow(of_root);
    const int all = still_slow(of_root);
    for (const Algorithm& row : builtin_algorithms())
      for (const std::size_t elements : {1024, 1009, 4097}) {
        for (Rank rank = 0; rank < ranks; ++rank)
          make_slow(*cluster.endpoints(rank)[rank == 0 ? 1 : 0]->capabilities().billboard);
        (void)still_slow(of_root);
        make_slow(of_root);
        for (const Query& query : on_layouts(row, {row.collective, ranks, 0, 2}))
          ASSERT_EQ(run(cluster, row, query, elements, false, 1), "")
              << describe(row, query, elements, false);
        if (row.collective == Collective::kBroadcast && row.name == "direct") {
          EXPECT_LT(still_slow(of_root), all) << elements;
        }
      }
  }
}

TEST(Executor, IsRightInAThousandDelayedOrders) {
  std::mt19937_64 random(20261121);
  const auto rows = builtin_algorithms();
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const Rank ranks = static_cast<Rank>(2 + random() % 7);
    std::uint64_t each = seed * 64;
    Cluster cluster(ranks, [&](const TransportOptions& options) -> Result<std::unique_ptr<Transport>> {
      HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(options, {64, 2 + static_cast<std::uint32_t>(seed % 3)},
                                                     seed % 2 == 0 ? 16 : SIZE_MAX));
      return delaying_transport(std::move(inner), options.lanes, ++each);
    });
    const Algorithm& row = rows[random() % rows.size()];
    const auto some = on_layouts(
        row, {row.collective, ranks, static_cast<Rank>(random() % static_cast<std::uint64_t>(ranks)),
              static_cast<std::uint32_t>(2 + random() % 7)});
    if (some.empty()) continue;
    const Query& query = some[seed % some.size()];
    const std::size_t elements = 1 + random() % (seed % 2 == 0 ? 500 : 100);
    const bool in_place = random() % 2 == 0 && row.collective != Collective::kAllToAll;
    ASSERT_EQ(run(cluster, row, query, elements, in_place, seed), "")
        << describe(row, query, elements, in_place) << ", seed " << seed;
  }
}

std::vector<Schedule> all_schedules(const Algorithm& row, const Query& query) {
  std::vector<Schedule> schedules;
  for (Rank rank = 0; rank < query.ranks; ++rank) schedules.push_back(row.build(query, rank));
  return schedules;
}

// The rows whose every message has an end that only offers or accepts memory.
TEST(Executor, MovesLargeMessagesOfDirectPlansInOneCopy) {
  const Lower direct = [](const Algorithm& row, const Query& query, Rank rank) {
    return *lower_direct(all_schedules(row, query), rank);
  };
  std::set<std::string> seen;
  for (const Rank ranks : {2, 3, 5}) {
    std::uint64_t seed = 0;
    const auto delaying = [&](SlotShape shape) -> Cluster::Open {
      return [&seed, shape](const TransportOptions& options) -> Result<std::unique_ptr<Transport>> {
        HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(options, shape));
        ++seed;  // of 18 ranks in a row each is another: what is staged or deposited, whether memory is
                 // mapped
        return delaying_transport(std::move(inner), options.lanes, seed, seed % 3 != 0);
      };
    };
    Cluster at_once(ranks, [](const TransportOptions& options) { return open_inproc(options); });
    Cluster delayed(ranks, delaying({64 * 1024, 16})), cut(ranks, delaying({16 * 1024, 4}));
    seed = 8;
    Cluster left_in_depots(ranks, delaying({16 * 1024, 4}));
    for (const Algorithm& row : builtin_algorithms())
      for (const std::size_t elements : {100, 8192, 8193, 70001})
        for (const bool in_place : {false, true})
          for (Cluster* cluster : {&at_once, &delayed, &cut, &left_in_depots}) {
            const Query query{row.collective, ranks, rooted(row.collective) ? ranks - 1 : 0, 2};
            if (!row.supports(query) || !lower_direct(all_schedules(row, query), 0)) continue;
            if (in_place && row.collective == Collective::kAllToAll) continue;
            seen.insert(std::string(name_of(row.collective)) + " " + std::string(row.name));
            const bool chunks = cluster == &cut || cluster == &left_in_depots;
            ASSERT_EQ(run(*cluster, row, query, elements, in_place, 7, direct, chunks), "")
                << describe(row, query, elements, in_place);
          }
  }
  for (const char* expected :
       {"allreduce two_shot", "allgather direct", "reduce_scatter direct", "broadcast direct",
        "broadcast split", "reduce direct", "alltoall linear", "gather linear", "scatter linear"})
    EXPECT_TRUE(seen.contains(expected)) << expected;
  EXPECT_FALSE(
      seen.contains("allreduce one_shot"));  // in place, a rank would overwrite what others still read
}

void expect_both_to_name_the_other(const Cluster::Open& open, std::size_t elements) {
  Cluster cluster(2, open);
  const Query query{Collective::kAllReduce, 2, 0, 2};
  const Algorithm& row = builtin_algorithms()[0];
  ASSERT_EQ(row.collective, Collective::kAllReduce);
  const Exercise exercise(query, elements, false);
  std::vector<std::unique_ptr<Execution>> executions;
  for (Rank rank = 0; rank < 2; ++rank) {
    executions.push_back(std::make_unique<Execution>(lower(row.build(query, rank)), cluster.endpoints(rank),
                                                     &choose_host_combine, cluster.poll(rank),
                                                     std::make_shared<Workspace>()));
    Call call = exercise.call(rank, executions.back()->plan(), cluster.message_bytes());
    call.stamp += static_cast<std::uint32_t>(rank);
    executions.back()->start(call);
  }
  ASSERT_TRUE(cluster.run(executions, 1));
  for (Rank rank = 0; rank < 2; ++rank) {
    const Status& failure = executions[static_cast<std::size_t>(rank)]->failure();
    EXPECT_EQ(failure.code(), Code::kInvalidUsage);
    EXPECT_NE(failure.message().find("rank " + std::to_string(1 - rank)), std::string_view::npos)
        << failure.message();
  }
}

TEST(Executor, NamesAPeerThatIsInAnotherCall) { expect_both_to_name_the_other(open_small, 5); }

// What lands in memory beforehand is worth nothing before the first chunk has come.
TEST(Executor, NamesAPeerThatIsInAnotherCallWithFreight) {
  expect_both_to_name_the_other(open_freight, 1009);
}

}  // namespace
}  // namespace hansa::test
