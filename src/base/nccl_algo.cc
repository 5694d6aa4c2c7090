#include "base/nccl_algo.hpp"

#include <utility>

#include "base/lists.hpp"

namespace hansa {
namespace {

struct Name {
  std::string_view theirs, ours;
};

// Without an entry: what needs NVLink switches or SHARP (NVLS, NVLSTree, CollnetDirect, CollnetChain).
constexpr Name kAlgorithms[] = {
    {"ring", "ring"}, {"tree", "double_binary_tree|knomial"}, {"pat", "circulant"}};
constexpr Name kFunctions[] = {
    {"allreduce", "allreduce"}, {"allgather", "allgather"}, {"reducescatter", "reduce_scatter"},
    {"broadcast", "broadcast"}, {"reduce", "reduce"},       {"alltoall", "alltoall"},
    {"gather", "gather"},       {"scatter", "scatter"}};

template <std::size_t kSize>
std::string_view ours(const Name (&names)[kSize], std::string_view theirs) {
  for (const Name& name : names)
    if (name.theirs == theirs) return name.ours;
  return {};
}

void note(std::string& remark, std::string_view name) {
  remark += (remark.empty() ? "means nothing here: " : ", ") + std::string(name);
}

// "^a|b" of "^A,B"; empty where nothing is left.
std::string choice_of(std::string_view list, std::string& remark) {
  const bool all_but = list.starts_with('^');
  std::string choice;
  for (const std::string_view item : split(list.substr(all_but ? 1 : 0), ',')) {
    const std::string_view name = trimmed(item);
    if (name.empty()) continue;
    const std::string_view known = ours(kAlgorithms, lower(name));
    if (known.empty())
      note(remark, name);
    else
      choice += (choice.empty() ? "" : "|") + std::string(known);
  }
  return all_but && !choice.empty() ? "^" + choice : choice;
}

}  // namespace

std::string wish_of_nccl_algo(std::string_view text, std::string& remark) {
  std::string wishes, general;
  bool first = true;
  for (const std::string_view part : split(text, ';')) {
    const std::size_t colon = part.find(':');
    const bool leading = std::exchange(first, false);
    if (colon == part.npos && !leading) {
      if (!trimmed(part).empty()) note(remark, trimmed(part));
      continue;
    }
    const std::string choice = choice_of(trimmed(colon == part.npos ? part : part.substr(colon + 1)), remark);
    if (colon == part.npos) {
      general = choice;
      continue;
    }
    const std::string_view function = trimmed(part.substr(0, colon));
    const std::string_view collective = ours(kFunctions, lower(function));
    if (collective.empty())
      note(remark, function);
    else if (!choice.empty())
      // In front, because NCCL lets a later part win and here the first that fits does.
      wishes = std::string(collective) + ":" + choice + (wishes.empty() ? "" : ",") + wishes;
  }
  if (!general.empty()) wishes += (wishes.empty() ? "" : ",") + general;
  return wishes;
}

}  // namespace hansa
