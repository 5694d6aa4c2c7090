#include "schedule/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "schedule/check_parts.hpp"
#include "schedule/print.hpp"

namespace hansa {
namespace proof {
namespace {

Status check_messages(const Whole& whole, const Algorithm& row) {
  const auto n = static_cast<std::size_t>(whole.query.ranks);
  std::vector<std::uint64_t> sent(n * n, 0);
  for (Node node = 0; node < whole.rank_of.size(); ++node)
    for (const Operand& operand : whole.schedule(node).destinations(whole.step(node)))
      if (operand.place == Place::kPeer)
        sent[static_cast<std::size_t>(whole.rank_of[node]) * n + static_cast<std::size_t>(operand.peer)] +=
            operand.blocks.size();
  const bool even = whole.query.levels == nullptr || whole.query.levels->even();
  for (Rank from = 0; from < whole.query.ranks; ++from)
    for (Rank to = 0; to < whole.query.ranks; ++to) {
      const auto is = sent[static_cast<std::size_t>(from) * n + static_cast<std::size_t>(to)];
      if (const auto stated = row.blocks_sent(whole.query, from, to); even ? is != stated : is > stated)
        return wrong(
            fmt::format("cost: rank {} sends {} blocks to rank {}, the row states {}", from, is, to, stated));
    }
  return {};
}

Status check_rounds(const Whole& whole, const Graph& graph, const Algorithm& row) {
  const Levels* levels = whole.query.levels;
  if (levels != nullptr && (levels->partitions().size() > 1 || !levels->even())) return {};
  std::vector<std::uint32_t> depth(whole.rank_of.size(), 0);
  std::uint32_t rounds = 0;
  for (const Node node : graph.order()) {
    for (const Graph::Before& edge : graph.before(node))
      if (edge.why != Why::kPosted)
        depth[node] = std::max(depth[node], depth[edge.node] + (edge.why == Why::kMessage));
    rounds = std::max(rounds, depth[node]);
  }
  if (const auto stated = row.rounds(whole.query); rounds != stated)
    return wrong(fmt::format("cost: the longest chain of messages is {}, the row states {}", rounds, stated));
  return {};
}

// Where blocks differ in size no rank of an alltoall knows all of them: each step needs a block of its own
// that tells. In the other collectives every rank knows every size.
Status check_lengths(const Whole& whole) {
  if (plain(whole.query.collective) != Collective::kAllToAll) return {};
  for (Node node = 0; node < whole.rank_of.size(); ++node) {
    const auto operands = whole.operands(node);
    if (std::none_of(operands.begin(), operands.end(),
                     [](const Operand& o) { return o.place == Place::kInput || o.place == Place::kOutput; }))
      return wrong(fmt::format("{}: has no input or output operand to tell the length of uneven blocks",
                               whole.name(node)));
  }
  return {};
}

}  // namespace

Status check_cost(const Whole& whole, const Graph& graph, const Algorithm& row) {
  HANSA_RETURN_IF_ERROR(check_messages(whole, row));
  HANSA_RETURN_IF_ERROR(check_rounds(whole, graph, row));
  return row.uneven ? check_lengths(whole) : Status();
}

Status check_structure(Whole& whole) {
  const Query& query = whole.query;
  if (query.ranks < 1 || whole.originals.size() != static_cast<std::size_t>(query.ranks))
    return wrong(fmt::format("{} schedules for {} ranks", whole.originals.size(), query.ranks));
  for (Rank rank = 0; rank < query.ranks; ++rank)
    HANSA_RETURN_IF_ERROR(check_form(query, rank, whole.originals[static_cast<std::size_t>(rank)]));
  HANSA_RETURN_IF_ERROR(lay_out(whole));
  for (Rank rank = 0; rank < query.ranks; ++rank) HANSA_RETURN_IF_ERROR(check_steps(whole, rank));
  return match(whole);
}

Status check_meaning(const Whole& whole, const Algorithm* row) {
  Graph graph(whole.rank_of.size());
  HANSA_RETURN_IF_ERROR(check_progress(whole, graph));
  HANSA_RETURN_IF_ERROR(check_races(whole, graph));
  HANSA_RETURN_IF_ERROR(check_values(whole, graph, false));
  HANSA_RETURN_IF_ERROR(check_values(whole, graph, true));
  return row != nullptr ? check_cost(whole, graph, *row) : Status();
}

namespace {

Status prove(const Query& query, std::span<const Schedule> by_rank, const Algorithm* row) {
  Whole whole(query, by_rank);
  HANSA_RETURN_IF_ERROR(check_structure(whole));
  return check_meaning(whole, row);
}

}  // namespace
}  // namespace proof

Status check_schedules(const Query& query, std::span<const Schedule> by_rank) {
  return proof::prove(query, by_rank, nullptr);
}

Status check(const Query& query, const Algorithm& row) {
  std::vector<Schedule> by_rank;
  for (Rank rank = 0; rank < query.ranks; ++rank) by_rank.push_back(row.build(query, rank));
  return proof::prove(query, by_rank, &row)
      .within(fmt::format("{} {}, {} ranks{}, root {}, radix {}", name_of(query.collective), row.name,
                          query.ranks, query.levels ? fmt::format(" on {}", to_text(*query.levels)) : "",
                          query.root, query.radix));
}

}  // namespace hansa
