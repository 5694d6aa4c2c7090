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

// The analyser takes what follows a group of messages for a part of it if their numbers are equal,
// collectives included. So groups count from here.
constexpr std::uint64_t kFirstGroup = 1'000'000'000;

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

bool has_words(const LoggedOperation& operation) {
  return operation.kind == OperationClass::kCollective ||
         (operation.kind == OperationClass::kMessages &&
          operation.message_count == operation.messages.size());
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

class Entries {
 public:
  explicit Entries(const TickScale& scale) : scale_(scale) {}

  void add(const Entry& entry, std::uint64_t record) {
    const LoggedOperation& operation = *entry.operation;
    record_ = record;
    if (operation.kind == OperationClass::kCollective) {
      const auto [in, out] = elements(operation, entry.communicator->ranks);
      return write(entry, torch_name(operation.collective), in, out, torch_name(operation.type));
    }
    for (const LoggedMessage& message : operation.messages) {
      const bool send = message.kind == LoggedMessage::Kind::kSend;
      const std::string name = fmt::format("{} {}{}{}", send ? "send" : "recv", entry.communicator->rank,
                                           send ? "->" : "<-", message.peer);
      write(entry, name, message.bytes, message.bytes, "Byte");
    }
    write(entry, "coalesced", 0, 0, "Byte");
  }
  const std::string& text() const { return text_; }

 private:
  void write(const Entry& entry, std::string_view name, std::uint64_t in, std::uint64_t out,
             std::string_view type) {
    const LoggedOperation& operation = *entry.operation;
    const bool collective = operation.kind == OperationClass::kCollective;
    const bool done = operation.state == LoggedOperation::State::kDone;
    fmt::format_to(
        std::back_inserter(text_),
        R"({}{{"frames":[],"record_id":{},"pg_id":0,"process_group":["{:016x}",{}],"collective_seq_id":{},)"
        R"("p2p_seq_id":{},"op_id":{},"profiling_name":"nccl:{}","time_created_ns":{},)"
        R"("time_discovered_started_ns":{},"time_discovered_completed_ns":{},"duration_ms":{},)"
        R"("input_sizes":[[{}]],"input_dtypes":["{}"],"output_sizes":[[{}]],"output_dtypes":["{}"],)"
        R"("state":"{}","timeout_ms":0,"is_p2p":{},"retired":{}}})",
        text_.empty() ? "" : ",", record_, entry.communicator->number, description(*entry.communicator),
        collective ? operation.number : 0, collective ? 0 : kFirstGroup + operation.number, ++operations_,
        name, time(operation.started), time(operation.started), done ? time(operation.ended) : "null",
        done ? fmt::format("{:.6f}",
                           1e-6 * static_cast<double>(scale_.duration_ns(operation.started, operation.ended)))
             : "null",
        in, type, out, type, done ? "completed" : "started", !collective, done);
  }
  std::string time(std::uint64_t at) const { return fmt::format("{}", scale_.realtime_ns(at)); }

  const TickScale& scale_;
  std::uint64_t record_ = 0, operations_ = 0;
  std::string text_;
};

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
  std::uint64_t lost = 0;  // written over, so that records have the same number on all ranks
  std::string config, status;
  for (const LoggedCommunicator* one : communicators) {
    const LoggedCommunicator& first = *communicators.front();
    if (one->number == 0 || one->ranks != first.ranks || one->rank != first.rank) continue;
    const std::string_view comma = config.empty() ? "" : ",";
    fmt::format_to(std::back_inserter(config), R"({}"{:016x}":{{"name":"{:016x}","desc":{},"ranks":"{}"}})",
                   comma, one->number, one->number, description(*one), list_of_ranks(one->ranks));
    const std::uint64_t started = one->numbers[static_cast<std::size_t>(OperationClass::kCollective)];
    fmt::format_to(std::back_inserter(status),
                   R"({}"{:016x}":{{"last_enqueued_collective":{},"last_started_collective":{},)"
                   R"("last_completed_collective":{}}})",
                   comma, one->number, started, started, last_completed(*one));
    lost += one->begun - one->operations.size();
    for (const LoggedOperation& operation : one->operations)
      if (operation.started < from)
        ++lost;
      else
        chosen.push_back({one, &operation});
  }
  std::stable_sort(chosen.begin(), chosen.end(), [](const Entry& a, const Entry& b) {
    return a.operation->started < b.operation->started;
  });
  Entries entries(scale);
  for (std::size_t i = 0; i < chosen.size(); ++i)
    if (has_words(*chosen[i].operation)) entries.add(chosen[i], lost + i);
  return fmt::format(R"("version":"2.10","entries":[{}],"pg_config":{{{}}},"pg_status":{{{}}})",
                     entries.text(), config, status);
}

}  // namespace hansa::control
