// What stands in a logbook, as values. Nothing that is read is trusted: the memory may be another process's,
// which may write it meanwhile, or die.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/ticks.hpp"
#include "control/logbook_layout.hpp"
#include "hansa/status.hpp"
#include "hansa/transport.hpp"

namespace hansa::control {

struct LoggedOperation {
  enum class State : std::uint8_t { kStarted, kDone, kFailed };

  std::uint64_t sequence = 0;  // of the communicator's operations, from 1
  OperationClass kind = OperationClass::kCollective;
  Collective collective = Collective::kPointToPoint;  // of a collective, as what follows
  DataType type = DataType::kInt8;
  ReduceOp op = ReduceOp::kSum;
  Rank root = 0;
  std::uint64_t count = 0, bytes = 0;
  std::uint16_t algorithm = LogEntry::kNoAlgorithm;
  std::uint32_t number = 0;              // of its class: all ranks' n-th collective is the same call
  std::uint32_t stamp = 0;               // the signature; 0: never compared with anybody's
  std::uint16_t message_count = 0;       // of a group or of one-sided calls
  std::vector<LoggedMessage> messages;   // the first of those
  std::uint64_t started = 0, ended = 0;  // ticks; `ended` is 0 while it runs
  State state = State::kStarted;

  // "allreduce #12 of 100 float, sum"; "send #3 of 8 bytes to rank 1".
  std::string text() const;
};

// Of a section: LogbookSection::memory(), or a part of a mapped logbook. Any thread; no system call.
std::optional<LoggedOperation> newest_operation(const std::byte* section);
// The newest that carried this signature.
std::optional<LoggedOperation> find_operation(const std::byte* section, std::uint32_t stamp);
// The newest of its class with that number; the search ends where numbers get smaller.
std::optional<LoggedOperation> find_operation(const std::byte* section, OperationClass kind,
                                              std::uint64_t number);
// Of the newest of its class; 0: none so far.
std::uint64_t newest_number(const std::byte* section, OperationClass kind);

struct LoggedCommunicator {
  std::uint64_t life = 0;  // tells it from others of its process; odd: it still exists
  std::uint64_t number = 0, parent = 0;
  Rank rank = 0, ranks = 0, parent_rank = 0;
  Standing standing = Standing::kConnecting;
  bool crowded = false;
  std::uint64_t opened = 0, closed = 0;  // ticks; `closed` is 0 while it exists
  std::uint64_t begun = 0, bytes = 0;
  std::array<std::uint64_t, 3> numbers{};  // the newest of each OperationClass
  RailCounts rails;                        // no rails: one interface, or none
  std::string name, transports;
  std::string failure, late;  // empty: none
  std::uint64_t failed_at = 0, late_told = 0;
  std::vector<LoggedOperation> operations;  // the newest, the oldest of them first

  bool exists() const { return life % 2 == 1; }
};

struct LoggedProcess {
  pid_t pid = 0;  // as it sees itself
  std::string host;
  TickMark mark;
  std::vector<std::string> algorithms;  // names by LoggedOperation::algorithm
  std::vector<LoggedCommunicator> communicators;

  std::string algorithm(const LoggedOperation& operation) const;  // empty where it had none
};

// Reads a logbook; `file` stays the caller's. Refuses what is none, or of another version of this library,
// and says why. Of each communicator the `newest` operations, and all that is known of those that ended not
// long ago. A communicator that comes or goes meanwhile may be missing.
Result<LoggedProcess> read_logbook(int file, std::size_t newest = kRecords);
// The same of memory that holds one, of `bytes` bytes.
Result<LoggedProcess> read_logbook(const std::byte* memory, std::size_t bytes, std::size_t newest = kRecords);

}  // namespace hansa::control
