#include "control/torch_entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/json_text.hpp"

namespace hansa::control {
namespace {

struct Entry {
  const LoggedCommunicator* communicator;
  const LoggedOperation* operation;
};

// It wants a list of them for each communicator.
constexpr Rank kMostRanks = 1 << 17;

std::string_view torch_name(Collective collective) {
  constexpr std::string_view kNames[kCollectives] = {
      "all_reduce", "all_gather", "reduce_scatter", "broadcast",        "reduce",     "all_to_all", "gather",
      "scatter",    "barrier",    "all_gather_v",   "reduce_scatter_v", "all_to_all", "coalesced"};
  return kNames[static_cast<std::size_t>(collective)];
}

std::string_view torch_name(DataType type) {
  constexpr std::string_view kNames[kDataTypes] = {"Char",   "Byte",     "Int",           "UInt32",
                                                   "Long",   "UInt64",   "Half",          "Float",
                                                   "Double", "BFloat16", "Float8_e4m3fn", "Float8_e5m2"};
  return kNames[static_cast<std::size_t>(type)];
}

// Elements in and out, alike on all ranks.
std::pair<std::uint64_t, std::uint64_t> elements(const LoggedOperation& operation, Rank ranks) {
  const std::uint64_t one = operation.count, all = one * static_cast<std::uint64_t>(ranks);
  switch (operation.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      return {one, all};
    case Collective::kReduceScatter:
    case Collective::kScatter:
      return {all, one};
    case Collective::kAllToAll:
      return {all, all};
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV:
      return {operation.bytes / size_of(operation.type), operation.bytes / size_of(operation.type)};
    default:
      return {one, one};
  }
}

std::string description(const LoggedCommunicator& one) {
  return one.name.empty() ? "\"undefined\"" : quoted(one.name);
}

std::string entry_text(const Entry& entry, std::uint64_t record, const TickScale& scale) {
  const LoggedOperation& operation = *entry.operation;
  const bool done = operation.state == LoggedOperation::State::kDone;
  const std::int64_t started = scale.realtime_ns(operation.started);
  const std::int64_t lasted = done ? scale.duration_ns(operation.started, operation.ended) : 0;
  const auto [in, out] = elements(operation, entry.communicator->ranks);
  const std::string_view type = torch_name(operation.type);
  return fmt::format(
      R"({{"frames":[],"record_id":{},"pg_id":0,"process_group":["{:016x}",{}],"collective_seq_id":{},)"
      R"("p2p_seq_id":0,"op_id":{},"profiling_name":"nccl:{}","time_created_ns":{},)"
      R"("time_discovered_started_ns":{},"time_discovered_completed_ns":{},"duration_ms":{},)"
      R"("input_sizes":[[{}]],"input_dtypes":["{}"],"output_sizes":[[{}]],"output_dtypes":["{}"],)"
      R"("state":"{}","timeout_ms":0,"is_p2p":false,"retired":{}}})",
      record, entry.communicator->number, description(*entry.communicator), operation.number,
      operation.sequence, torch_name(operation.collective), started, started,
      done ? fmt::format("{}", started + lasted) : "null",
      done ? fmt::format("{:.6f}", 1e-6 * static_cast<double>(lasted)) : "null", in, type, out, type,
      done ? "completed" : "started", done);
}

std::string list_of_ranks(Rank ranks) {
  std::string text = "[";
  for (Rank rank = 0; rank < ranks; ++rank)
    fmt::format_to(std::back_inserter(text), "{}{}", rank == 0 ? "" : ", ", rank);
  return text + "]";
}

std::uint64_t last_completed(const LoggedCommunicator& one) {
  std::uint64_t last = 0;
  for (const LoggedOperation& operation : one.operations)
    if (operation.kind == OperationClass::kCollective && operation.state == LoggedOperation::State::kDone)
      last = std::max<std::uint64_t>(last, operation.number);
  return last;
}

}  // namespace

std::string torch_entries(const std::vector<const LoggedCommunicator*>& communicators, const TickScale& scale,
                          std::uint64_t from) {
  std::vector<Entry> chosen;
  std::uint64_t lost = 0;  // collectives written over: records have the same numbers on all ranks
  std::string config, status;
  for (const LoggedCommunicator* one : communicators) {
    const LoggedCommunicator& first = *communicators.front();
    if (one->number == 0 || one->ranks > kMostRanks || one->ranks != first.ranks || one->rank != first.rank)
      continue;
    const std::string_view comma = config.empty() ? "" : ",";
    fmt::format_to(std::back_inserter(config), R"({}"{:016x}":{{"name":"{:016x}","desc":{},"ranks":"{}"}})",
                   comma, one->number, one->number, description(*one), list_of_ranks(one->ranks));
    const std::uint64_t started = one->numbers[static_cast<std::size_t>(OperationClass::kCollective)];
    fmt::format_to(std::back_inserter(status),
                   R"({}"{:016x}":{{"last_enqueued_collective":{},"last_started_collective":{},)"
                   R"("last_completed_collective":{}}})",
                   comma, one->number, started, started, last_completed(*one));
    std::uint64_t first_number = 0;
    for (const LoggedOperation& operation : one->operations) {
      if (operation.kind != OperationClass::kCollective || operation.started < from) continue;
      if (first_number == 0) first_number = operation.number;
      chosen.push_back({one, &operation});
    }
    lost += first_number == 0 ? started : first_number - 1;
  }
  std::stable_sort(chosen.begin(), chosen.end(), [](const Entry& a, const Entry& b) {
    return a.operation->started < b.operation->started;
  });
  std::string entries;
  for (const Entry& entry : chosen)
    entries += (entries.empty() ? "" : ",") + entry_text(entry, lost++, scale);
  return fmt::format(R"("version":"2.10","entries":[{}],"pg_config":{{{}}},"pg_status":{{{}}})", entries,
                     config, status);
}

}  // namespace hansa::control
