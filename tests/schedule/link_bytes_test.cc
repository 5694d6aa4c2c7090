// How much crosses the link of each host, and of each group, counted from the schedules of the rows that are
// chosen, against what must cross it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "queries.hpp"
#include "tuner/tuner.hpp"

namespace hansa::test {
namespace {

using Labels = std::vector<std::uint32_t>;

// Of all that the collective is about (choose() says what that is), for each part: what it sends to others,
// and receives.
struct Traffic {
  std::vector<double> out, in;
  double busiest() const {
    return std::max(*std::max_element(out.begin(), out.end()), *std::max_element(in.begin(), in.end()));
  }
  double total() const {
    double sum = 0;
    for (const double bytes : out) sum += bytes;
    return sum;
  }
};

Traffic traffic(const Algorithm& row, const Query& query, std::span<const Rank> part_of) {
  const auto parts = static_cast<std::size_t>(*std::max_element(part_of.begin(), part_of.end())) + 1;
  Traffic traffic{std::vector<double>(parts), std::vector<double>(parts)};
  for (Rank self = 0; self < query.ranks; ++self) {
    const Schedule schedule = expand(row.build(query, self));
    const bool by_rank = query.collective == Collective::kAllToAll;  // of what one rank sends
    const double share = (by_rank ? query.ranks : 1.0) / schedule.blocks;
    for (const Step& step : schedule.steps)
      for (const Operand& operand : schedule.destinations(step)) {
        if (operand.place != Place::kPeer) continue;
        const auto from = static_cast<std::size_t>(part_of[static_cast<std::size_t>(self)]),
                   to = static_cast<std::size_t>(part_of[static_cast<std::size_t>(operand.peer)]);
        if (from == to) continue;
        traffic.out[from] += share * operand.blocks.size();
        traffic.in[to] += share * operand.blocks.size();
      }
  }
  return traffic;
}

// What must pass the busiest link of m equal parts, each way.
double least(Collective collective, double parts, double ranks_of_one) {
  switch (collective) {
    case Collective::kAllReduce:
      return 2 * (parts - 1) / parts;
    case Collective::kBroadcast:
    case Collective::kReduce:
      return 1;
    case Collective::kAllToAll:
      return ranks_of_one * (parts - 1) / parts;
    default:
      return (parts - 1) / parts;
  }
}

constexpr Collective kAll[] = {Collective::kAllReduce, Collective::kAllGather, Collective::kReduceScatter,
                               Collective::kAllToAll,  Collective::kBroadcast, Collective::kReduce,
                               Collective::kGather,    Collective::kScatter};

Labels dealt(Rank ranks, Rank hosts) {
  Labels labels;
  for (Rank rank = 0; rank < ranks; ++rank) labels.push_back(static_cast<std::uint32_t>(rank % hosts));
  return labels;
}

const Algorithm& chosen(const Query& query, std::size_t bytes) {
  return *choose(query, bytes, Reached::kBySlots, "").value();
}

TEST(LinkBytes, AreTheLeastOfEveryHost) {
  for (const Rank hosts : {2, 4, 8})
    for (const Rank each : {1, 2})
      for (const std::size_t bytes : {std::size_t{4} << 20, std::size_t{16} << 20})
        for (const Collective collective : kAll)
          for (const Rank root : {0, 1}) {
            if (root > 0 && !rooted(collective)) continue;
            const Levels levels(dealt(hosts * each, hosts));
            const Query query{collective, hosts * each, root, 2, &levels};
            const Algorithm& row = chosen(query, bytes);
            const double busiest = traffic(row, query, levels.host_of()).busiest();
            const double bound = least(collective, hosts, each);
            fmt::print("{} hosts of {}, {:>2} MiB: {} {}: {:.3f} of {:.3f}\n", hosts, each, bytes >> 20,
                       name_of(collective), row.name, busiest, bound);
            EXPECT_NEAR(busiest, bound, 1e-9);
          }
}

TEST(LinkBytes, AreTheLeastBetweenGroups) {
  for (const Rank each : {1, 2})
    for (const Collective collective : kAll) {
      const Labels hosts = dealt(8 * each, 8);
      Labels groups;
      for (const std::uint32_t host : hosts) groups.push_back(host % 2);
      const Levels levels(hosts, groups);
      const Query query{collective, 8 * each, 0, 2, &levels};
      const Algorithm& row = chosen(query, 16 << 20);
      const double joint = traffic(row, query, levels.group_of()).busiest();
      const double host = traffic(row, query, levels.host_of()).busiest();
      fmt::print("2 groups of 4 hosts of {}: {} {}: joint {:.3f}, host {:.3f}\n", each, name_of(collective),
                 row.name, joint, host);
      EXPECT_NEAR(joint, least(collective, 2, 4 * each), 1e-9);
      // A root gives its group's speakers their shares, and is one of them.
      const bool gives_twice = collective == Collective::kBroadcast || collective == Collective::kReduce;
      EXPECT_NEAR(host, gives_twice ? 1.75 : least(collective, 8, each), 1e-9);
    }
}

TEST(Choice, IsAHierarchyWhereThereIsOne) {
  const auto name = [](Collective collective, std::size_t bytes, const Labels& hosts, const Labels& groups) {
    const Levels levels(hosts, groups);
    return std::string(chosen({collective, levels.ranks(), 0, 2, &levels}, bytes).name);
  };
  const Labels pairs{0, 0, 1, 1}, singles{0, 1, 2, 3}, alone{0, 0, 0, 0}, groups{0, 0, 1, 1};
  EXPECT_EQ(name(Collective::kAllReduce, 8, pairs, {}), "leaders_recursive_doubling");
  EXPECT_EQ(name(Collective::kAllReduce, 1 << 20, pairs, {}), "rails_two_shot");
  EXPECT_EQ(name(Collective::kReduceScatterV, 64 << 10, pairs, {}), "rails_direct");
  EXPECT_EQ(name(Collective::kReduceScatterV, 1 << 20, pairs, {}), "rails_ring");
  EXPECT_EQ(name(Collective::kBarrier, 0, pairs, {}), "leaders_recursive_doubling");
  EXPECT_EQ(name(Collective::kAllReduce, 8, singles, {}), "recursive_doubling");
  EXPECT_EQ(name(Collective::kReduceScatter, 1 << 10, singles, {}), "circulant");
  EXPECT_EQ(name(Collective::kReduceScatter, 64 << 10, singles, {}), "circulant");
  EXPECT_EQ(name(Collective::kAllReduce, 256 << 10, singles, {}), "circulant");
  EXPECT_EQ(name(Collective::kAllReduce, 4 << 20, singles, {}), "two_shot");
  EXPECT_EQ(name(Collective::kReduceScatter, 1 << 20, singles, {}), "ring");
  EXPECT_EQ(name(Collective::kAllGather, 1 << 20, singles, {}), "circulant");
  EXPECT_EQ(name(Collective::kBroadcast, 4 << 10, singles, {}), "direct");
  EXPECT_EQ(name(Collective::kBroadcast, 8 << 10, singles, {}), "knomial");
  EXPECT_EQ(name(Collective::kBroadcast, 64 << 10, singles, {}), "two_shot");
  EXPECT_EQ(name(Collective::kBroadcast, 256 << 10, singles, {}), "ring");
  EXPECT_EQ(name(Collective::kAllGather, 1 << 20, singles, groups), "rails_direct");
  EXPECT_EQ(name(Collective::kAllReduce, 8, alone, {}), "one_shot");
}

// Every row of a hierarchy moves each byte into a host once: in reductions one partial sum of a host, else
// one copy for all its ranks.
TEST(LinkBytes, AreTheLeastOfUnevenHosts) {
  const Levels levels(Labels{2, 0, 1, 0, 3, 1, 0, 2, 3, 3, 3});  // of 2, 3, 2 and 4 ranks
  for (const Algorithm& row : builtin_algorithms()) {
    const Query query{row.collective, levels.ranks(), 3, 2, &levels};
    if (!row.supports(query) || row.supports({row.collective, levels.ranks(), 3, 2})) continue;
    const double whole = row.collective != Collective::kAllReduce   ? levels.hosts() - 1
                         : row.name == "leaders_recursive_doubling" ? levels.hosts() * 2
                                                                    : (levels.hosts() - 1) * 2;
    EXPECT_NEAR(traffic(row, query, levels.host_of()).total(), whole, 1e-9) << row_name(row);
  }
}

}  // namespace
}  // namespace hansa::test
