#include "core/log_entry.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace hansa {
namespace {

using control::LogEntry;
using control::LoggedMessage;

LogEntry collective_entry(const Operation& operation, Rank ranks) {
  const Request& request = operation.request;
  std::size_t count = request.count, bytes = operation.bytes;
  if (request.collective == Collective::kAllToAllV) {
    count = std::accumulate(request.send_counts, request.send_counts + ranks, std::size_t{0});
    bytes = count * size_of(request.type);
  } else if (request.receive_counts != nullptr) {
    count = std::accumulate(request.receive_counts, request.receive_counts + ranks, std::size_t{0});
  }
  LogEntry entry;
  entry.collective = request.collective;
  entry.type = request.type;
  entry.op = request.op;
  if (operation.algorithm != nullptr)
    entry.algorithm = static_cast<std::uint16_t>(operation.algorithm - builtin_algorithms().data());
  entry.details = {count, bytes, static_cast<std::uint64_t>(request.root)};
  entry.bytes = bytes;
  return entry;
}

LoggedMessage message_of(const PointToPoint& message) {
  return {message.send ? LoggedMessage::Kind::kSend : LoggedMessage::Kind::kReceive, message.peer,
          message.bytes};
}

// Of a wait the number of signals stands for the bytes.
LoggedMessage message_of(const OneSidedCall& call) {
  switch (call.kind) {
    case OneSidedCall::Kind::kPut:
      return {LoggedMessage::Kind::kPut, call.peer, call.input.size()};
    case OneSidedCall::Kind::kSignal:
      return {LoggedMessage::Kind::kSignal, call.peer, 0};
    default:
      return {LoggedMessage::Kind::kWait, call.peer, call.times};
  }
}

template <class Messages>
LogEntry group_entry(control::OperationClass kind, const Messages& messages) {
  LogEntry entry;
  entry.kind = kind;
  entry.messages = static_cast<std::uint16_t>(
      std::min<std::size_t>(messages.size(), std::numeric_limits<std::uint16_t>::max()));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const LoggedMessage message = message_of(messages[i]);
    if (i < entry.details.size()) entry.details[i] = message.word();
    if (message.kind != LoggedMessage::Kind::kWait) entry.bytes += message.bytes;
  }
  return entry;
}

LogEntry entry_of(const Operation& operation, Rank ranks) {
  switch (operation.kind) {
    case Operation::Kind::kPointToPoint:
      return group_entry(control::OperationClass::kMessages, operation.messages);
    case Operation::Kind::kOneSided:
      return group_entry(control::OperationClass::kOneSided, operation.one_sided);
    default:
      return collective_entry(operation, ranks);
  }
}

}  // namespace

LogEntry log_entry(const Operation& operation, Rank ranks) {
  LogEntry entry = entry_of(operation, ranks);
  entry.number = operation.number;
  return entry;
}

}  // namespace hansa
