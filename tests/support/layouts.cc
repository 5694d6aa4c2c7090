#include "tests/support/layouts.hpp"

#include <deque>
#include <map>
#include <mutex>

namespace hansa::test {
namespace {

using Labels = std::vector<std::uint32_t>;

Labels hosts_of(Rank ranks, std::initializer_list<Rank> sizes) {
  Labels labels;
  for (std::uint32_t host = 0; static_cast<Rank>(labels.size()) < ranks; ++host) {
    const Rank size = sizes.begin()[host % sizes.size()];
    for (Rank i = 0; i < size && static_cast<Rank>(labels.size()) < ranks; ++i) labels.push_back(host);
  }
  return labels;
}

// Every second rank, then the rest.
Labels crosswise(const Labels& labels) {
  Labels dealt;
  for (std::size_t first : {std::size_t{1}, std::size_t{0}})
    for (std::size_t i = first; i < labels.size(); i += 2) dealt.push_back(labels[i]);
  return dealt;
}

Labels groups_of(const Labels& hosts, std::uint32_t hosts_each) {
  Labels groups;
  for (const std::uint32_t host : hosts) groups.push_back(host / hosts_each);
  return groups;
}

}  // namespace

std::vector<const Levels*> layouts(Rank ranks) {
  static std::mutex mutex;
  static std::map<Rank, std::deque<Levels>> known;
  const std::lock_guard lock(mutex);
  std::deque<Levels>& all = known[ranks];
  if (all.empty()) {
    const Labels pairs = hosts_of(ranks, {2}), uneven = crosswise(hosts_of(ranks, {3, 1, 2})),
                 single = hosts_of(ranks, {1});
    all.emplace_back(pairs);
    all.emplace_back(uneven);
    all.emplace_back(single, groups_of(single, static_cast<std::uint32_t>(ranks + 1) / 2));
    all.emplace_back(pairs, groups_of(pairs, 2));
    all.emplace_back(uneven, groups_of(uneven, 2));
  }
  std::vector<const Levels*> some;
  for (const Levels& levels : all)
    if (!levels.partitions().empty()) some.push_back(&levels);
  return some;
}

std::vector<Query> on_layouts(const Algorithm& row, const Query& query) {
  if (row.supports(query)) return {query};
  std::vector<Query> all;
  for (const Levels* levels : layouts(query.ranks)) {
    Query with = query;
    with.levels = levels;
    if (row.supports(with)) all.push_back(with);
  }
  return all;
}

}  // namespace hansa::test
