#include "tuner/tuner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/lists.hpp"

namespace hansa {
namespace {

// The wish for one collective out of "a:x,b:y" or plain "x": the first that fits.
std::string_view wished(std::string_view wish, Collective collective) {
  while (!wish.empty()) {
    const std::size_t comma = wish.find(',');
    const std::string_view item = wish.substr(0, comma);
    const std::size_t colon = item.find(':');
    if (colon == std::string_view::npos) return item;
    if (item.substr(0, colon) == name_of(collective)) return item.substr(colon + 1);
    wish = comma == std::string_view::npos ? std::string_view() : wish.substr(comma + 1);
  }
  return {};
}

// Whether a choice like "ring", "ring|knomial" or "^ring" allows the name.
bool allows(std::string_view wish, std::string_view name) {
  const bool all_but = wish.starts_with('^');
  const auto names = split(wish.substr(all_but ? 1 : 0), '|');
  return (std::find(names.begin(), names.end(), name) != names.end()) != all_but;
}

const Algorithm* find(const Query& query, std::string_view name) {
  for (const Algorithm& row : builtin_algorithms())
    if (serves(row, query.collective) && row.name == name) {
      Query plain = query;
      plain.collective = row.collective;
      if (row.supports(plain)) return &row;
    }
  return nullptr;
}

// Between hosts a message costs much, and so does a byte: few rounds while vectors are small, then no more
// bytes than must be. Where hosts have several ranks, or there are groups, a hierarchy comes before the
// row; elsewhere there is none.
std::array<std::string_view, 3> preferred_between_hosts(const Query& query, std::size_t bytes) {
  const auto levels = query.levels->partitions();
  const auto parts = static_cast<std::size_t>(levels.empty() ? query.ranks : levels.back().count());
  const bool small = bytes <= 16 * 1024, few = parts <= 16, large = bytes / parts >= 256 * 1024;
  const bool streams = bytes >= 1024 * 1024;  // where a ring's rounds no longer count
  switch (query.collective) {
    case Collective::kAllReduce:
    case Collective::kBarrier:
      if (small) return {"leaders_recursive_doubling", "recursive_doubling", ""};
      if (few) return {"rails_two_shot", streams ? "two_shot" : "circulant", "ring"};
      if (large) return {"rails_ring", "ring", ""};
      return {"rails_circulant", "circulant", ""};
    case Collective::kReduceScatter:
    case Collective::kReduceScatterV:
      if (few ? streams : large) return {"rails_ring", "ring", ""};
      return {"rails_direct", "circulant", "ring"};
    case Collective::kAllGather:
    case Collective::kAllGatherV:
      if (large && !few) return {"rails_ring", "ring", ""};
      return {few ? "rails_direct" : "rails_circulant", "circulant", ""};
    case Collective::kBroadcast:
    case Collective::kReduce:
      if (small && query.collective == Collective::kBroadcast && bytes * (parts - 1) <= 16 * 1024)
        return {"leaders_knomial", few ? "direct" : "knomial", ""};
      if (small) return {"leaders_knomial", "knomial", ""};
      // The chain fills within a chunk for each part.
      if (few && bytes / parts >= 64 * 1024) return {"rails_ring", "ring", ""};
      if (few) return {"rails_two_shot", "two_shot", "ring"};
      return {bytes / parts < 4096 ? "leaders_knomial" : "rails_two_shot", "double_binary_tree", ""};
    case Collective::kAllToAll:
      return {bytes <= 256 && query.ranks >= 64 ? "bruck" : "linear", "pairwise", ""};
    default:
      return {"linear", "knomial", ""};
  }
}

// Names in order of preference. On one machine messages cost little and bytes cost much: everything
// direct while all fits the caches, then what moves each byte least.
std::array<std::string_view, 3> preferred(const Query& query, std::size_t bytes, Reached reached) {
  if (query.levels != nullptr && query.levels->hosts() > 1) return preferred_between_hosts(query, bytes);
  const bool small = bytes <= 32 * 1024, direct = reached != Reached::kBySlots;
  switch (query.collective) {
    case Collective::kAllReduce:
      // One shot moves the vector to each of the others, so it is for two or for very little.
      if (query.ranks <= 16)
        return {small && (query.ranks == 2 || bytes <= 4096) ? "one_shot" : "two_shot", "ring", ""};
      return {small ? "recursive_doubling" : "circulant", "ring", ""};
    case Collective::kBarrier:
      return {query.ranks <= 8 ? "one_shot" : "recursive_doubling", "ring", ""};
    case Collective::kAllGather:
    case Collective::kReduceScatter:
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV:
      return {query.ranks <= 16 ? "direct" : "circulant", "ring", ""};
    case Collective::kBroadcast:
      // One copy in a depot serves all.
      if (!small && reached == Reached::kInDepots) return {"direct", "knomial", ""};
      if (!small && direct)
        return {query.ranks == 2 || bytes > 128 * 1024 ? "split" : "direct", "knomial", ""};
      // No rank waits for one that is not the root: where ranks share cores, each hand-over costs a turn.
      if (small && query.ranks <= 16) return {"direct", "knomial", ""};
      return {small ? "knomial" : "ring", "knomial", ""};
    case Collective::kReduce:
      if (query.ranks <= 16 && (small || direct)) return {"direct", "knomial", ""};
      return {small ? "knomial" : direct ? "direct" : "ring", "knomial", ""};
    case Collective::kAllToAll:
      return {bytes <= 256 && query.ranks >= 64 ? "bruck" : "linear", "pairwise", ""};
    default:
      return {"linear", "knomial", ""};
  }
}

bool exists(std::string_view name) {
  const auto rows = builtin_algorithms();
  return std::any_of(rows.begin(), rows.end(), [&](const Algorithm& row) { return row.name == name; });
}

std::string all_names() {
  std::string names;
  for (const Algorithm& row : builtin_algorithms())
    if (names.find(fmt::format(" {} ", row.name)) == std::string::npos)
      names += fmt::format(" {} ", row.name);
  return names;
}

Status unknown(std::string_view what, std::string_view name, const std::string& known) {
  return Status(Code::kInvalidUsage,
                fmt::format("HANSA_ALGORITHM names the {} '{}', which does not exist; there are:{}", what,
                            name, known));
}

}  // namespace

Status check_wish(std::string_view wish) {
  for (const std::string_view item : split(wish, ',')) {
    if (item.empty()) continue;
    const std::size_t colon = item.find(':');
    std::string_view choice = colon == std::string_view::npos ? item : item.substr(colon + 1);
    const std::string_view collective =
        colon == std::string_view::npos ? std::string_view() : item.substr(0, colon);
    bool served = collective.empty();
    std::string collectives;
    for (int c = 0; c < kCollectives; ++c) {
      served = served || name_of(static_cast<Collective>(c)) == collective;
      collectives += fmt::format(" {}", name_of(static_cast<Collective>(c)));
    }
    if (!served) return unknown("collective", collective, collectives);
    if (choice.starts_with('^')) choice.remove_prefix(1);
    for (const std::string_view name : split(choice, '|'))
      if (!exists(name)) return unknown("algorithm", name, all_names());
  }
  return {};
}

Result<const Algorithm*> choose(const Query& query, std::size_t bytes, Reached reached,
                                std::string_view wish) {
  if (const auto choice = wished(wish, query.collective); !choice.empty()) {
    // The better of those that are allowed; where no preferred one is, the first that is named.
    for (const std::string_view name : preferred(query, bytes, reached))
      if (const Algorithm* row = allows(choice, name) ? find(query, name) : nullptr) return row;
    if (!choice.starts_with('^'))
      for (const std::string_view name : split(choice, '|'))
        if (const Algorithm* row = find(query, name)) return row;
    for (const Algorithm& row : builtin_algorithms())
      if (serves(row, query.collective) && allows(choice, row.name))
        if (const Algorithm* found = find(query, row.name)) return found;
  }
  for (const std::string_view name : preferred(query, bytes, reached))
    if (const Algorithm* row = find(query, name)) return row;
  for (const Algorithm& row : builtin_algorithms())
    if (const Algorithm* found = serves(row, query.collective) ? find(query, row.name) : nullptr)
      return found;
  return Status(Code::kUnsupported,
                fmt::format("no algorithm for {} of {} ranks", name_of(query.collective), query.ranks));
}

}  // namespace hansa
