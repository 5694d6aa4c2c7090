#include "tuner/tuner.hpp"

#include <fmt/format.h>

#include <array>

namespace hansa {
namespace {

// The wish for one collective out of "a:x,b:y" or plain "x".
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

const Algorithm* find(const Query& query, std::string_view name) {
  for (const Algorithm& row : builtin_algorithms())
    if (serves(row, query.collective) && row.name == name) {
      Query plain = query;
      plain.collective = row.collective;
      if (row.supports(plain)) return &row;
    }
  return nullptr;
}

// Names in order of preference. On one machine messages cost little and bytes cost much: everything
// direct while all fits the caches, then what moves each byte least.
std::array<std::string_view, 3> preferred(const Query& query, std::size_t bytes, bool direct) {
  const bool small = bytes <= 32 * 1024;
  switch (query.collective) {
    case Collective::kAllReduce:
      if (query.ranks <= 16) return {small ? "one_shot" : "two_shot", "ring", ""};
      return {small ? "recursive_doubling" : "circulant", "ring", ""};
    case Collective::kBarrier:
      return {query.ranks <= 8 ? "one_shot" : "recursive_doubling", "ring", ""};
    case Collective::kAllGather:
    case Collective::kReduceScatter:
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV:
      return {query.ranks <= 16 ? "direct" : "circulant", "ring", ""};
    case Collective::kBroadcast:
    case Collective::kReduce:
      return {small ? "knomial" : direct ? "direct" : "ring", "knomial", ""};
    case Collective::kAllToAll:
      return {bytes <= 256 && query.ranks >= 64 ? "bruck" : "linear", "pairwise", ""};
    default:
      return {"linear", "knomial", ""};
  }
}

}  // namespace

Result<const Algorithm*> choose(const Query& query, std::size_t bytes, bool direct, std::string_view wish) {
  if (const auto name = wished(wish, query.collective); !name.empty())
    if (const Algorithm* row = find(query, name)) return row;
  for (const std::string_view name : preferred(query, bytes, direct))
    if (const Algorithm* row = find(query, name)) return row;
  for (const Algorithm& row : builtin_algorithms())
    if (const Algorithm* found = serves(row, query.collective) ? find(query, row.name) : nullptr)
      return found;
  return Status(Code::kUnsupported,
                fmt::format("no algorithm for {} of {} ranks", name_of(query.collective), query.ranks));
}

}  // namespace hansa
