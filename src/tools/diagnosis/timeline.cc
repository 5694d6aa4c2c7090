#include "tools/diagnosis/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

namespace hansa::diagnosis {
namespace {

using control::OperationClass;
using Json = nlohmann::json;

// What one host's clock must be shifted by, so that it agrees with another's.
struct Bounds {
  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t most = std::numeric_limits<std::int64_t>::max();

  bool known() const {
    return least != std::numeric_limits<std::int64_t>::min() &&
           most != std::numeric_limits<std::int64_t>::max();
  }
  // The smallest shift within. Noise may have turned the bounds round.
  std::int64_t shift() const {
    if (least > most) return least / 2 + most / 2;
    return std::clamp<std::int64_t>(0, least, most);
  }
};

// Whether no rank can end the call before all have begun it.
bool synchronizes(const Operation& operation) {
  static const std::set<std::string, std::less<>> kNames{
      "allreduce", "allgather", "reduce_scatter", "barrier", "allgatherv", "reduce_scatterv", "alltoall"};
  return operation.kind == OperationClass::kCollective && operation.state == Operation::State::kDone &&
         operation.signature != 0 && kNames.contains(operation.collective);
}

struct Span {
  std::int64_t last_start = std::numeric_limits<std::int64_t>::min();
  std::int64_t first_end = std::numeric_limits<std::int64_t>::max();
};

// Of each synchronizing call, by communicator and number: when the last rank of each host began and the first
// one ended.
using Calls = std::map<std::pair<std::string, std::uint64_t>, std::map<std::string, Span>>;

Calls calls_of(const Job& job) {
  Calls calls;
  for (const RankOfJob& rank : job.ranks)
    for (const Membership& one : rank.memberships)
      for (const Operation& operation : one.operations) {
        if (!synchronizes(operation)) continue;
        Span& span = calls[{one.number, operation.number}][rank.host];
        span.last_start = std::max(span.last_start, operation.started_ns);
        span.first_end = std::min(span.first_end, operation.ended_ns);
      }
  return calls;
}

// Of hosts that have calls in common: what to add to the second's clock.
std::map<std::pair<std::string, std::string>, Bounds> bounds_of(const Calls& calls) {
  std::map<std::pair<std::string, std::string>, Bounds> all;
  for (const auto& [call, hosts] : calls)
    for (const auto& [one, mine] : hosts)
      for (const auto& [other, theirs] : hosts) {
        if (one == other) continue;
        Bounds& bounds = all[{one, other}];
        bounds.least = std::max(bounds.least, mine.last_start - theirs.first_end);
        bounds.most = std::min(bounds.most, mine.first_end - theirs.last_start);
      }
  return all;
}

Json event_of(const Operation& operation, std::size_t process, std::size_t thread, std::int64_t shift,
              std::int64_t now) {
  constexpr std::string_view kStates[] = {"running", "done", "failed"};
  const std::int64_t end = operation.ended_ns != 0 ? operation.ended_ns : std::max(now, operation.started_ns);
  Json details = {{"bytes", operation.bytes},
                  {"signature", fmt::format("{:08x}", operation.signature)},
                  {"state", kStates[static_cast<std::size_t>(operation.state)]}};
  if (!operation.algorithm.empty()) details["algorithm"] = operation.algorithm;
  return {{"ph", "X"},
          {"name", operation.text},
          {"cat", operation.kind == OperationClass::kCollective ? "collective" : "messages"},
          {"pid", process},
          {"tid", thread},
          {"ts", 1e-3 * static_cast<double>(operation.started_ns + shift)},
          {"dur", 1e-3 * static_cast<double>(end - operation.started_ns)},
          {"args", std::move(details)}};
}

Json name_of(const char* what, std::size_t process, std::size_t thread, const std::string& name) {
  return {{"ph", "M"}, {"name", what}, {"pid", process}, {"tid", thread}, {"args", {{"name", name}}}};
}

}  // namespace

// From host to host, along those that have calls in common.
std::vector<std::int64_t> clock_shifts(const Job& job) {
  const auto bounds = bounds_of(calls_of(job));
  std::map<std::string, std::int64_t> shift_of;
  for (const RankOfJob& rank : job.ranks) {
    if (!shift_of.try_emplace(rank.host, 0).second) continue;
    std::vector<std::string> next{rank.host};
    while (!next.empty()) {
      const std::string from = std::move(next.back());
      next.pop_back();
      for (const auto& [pair, bound] : bounds)
        if (pair.first == from && bound.known() &&
            shift_of.try_emplace(pair.second, shift_of.at(from) + bound.shift()).second)
          next.push_back(pair.second);
    }
  }
  std::vector<std::int64_t> shifts;
  for (const RankOfJob& rank : job.ranks) shifts.push_back(shift_of.at(rank.host));
  return shifts;
}

std::string trace_of(const Job& job) {
  Json events = Json::array();
  const std::vector<std::int64_t> shifts = clock_shifts(job);
  for (std::size_t who = 0; who < job.ranks.size(); ++who) {
    const RankOfJob& rank = job.ranks[who];
    events.push_back(
        name_of("process_name", who, 0, fmt::format("rank {} ({}, pid {})", rank.rank, rank.host, rank.pid)));
    events.push_back(
        {{"ph", "M"}, {"name", "process_sort_index"}, {"pid", who}, {"args", {{"sort_index", rank.rank}}}});
    for (std::size_t i = 0; i < rank.memberships.size(); ++i) {
      const Membership& one = rank.memberships[i];
      events.push_back(name_of("thread_name", who, i, "communicator " + one.label()));
      for (const Operation& operation : one.operations)
        events.push_back(event_of(operation, who, i, shifts[who], rank.dumped_ns));
    }
  }
  return Json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ns"}}.dump() + "\n";
}

}  // namespace hansa::diagnosis
