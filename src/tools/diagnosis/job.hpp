// What ranks of a job did, put together from the dumps of each.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/logbook_layout.hpp"
#include "hansa/status.hpp"

namespace hansa::diagnosis {

struct Message {
  std::string kind;  // "send", "receive", "put", "signal", "wait"
  Rank peer = 0;
  std::uint64_t bytes = 0;
};

struct Operation {
  enum class State : std::uint8_t { kStarted, kDone, kFailed };

  control::OperationClass kind = control::OperationClass::kCollective;
  std::uint64_t number = 0;     // of its class: the n-th collective is the same call on all ranks
  std::string text;             // "allreduce #12 of 100 float, sum"
  std::uint64_t signature = 0;  // differs where ranks called differently
  std::uint64_t bytes = 0;
  State state = State::kStarted;
  std::int64_t started_ns = 0, ended_ns = 0;  // since 1970 by the rank's own clock; 0: not yet
  std::string collective, algorithm;          // of a collective
  std::vector<Message> messages;              // of others
};

struct Membership {
  std::string number;  // equal on all ranks of a communicator, and of no other
  std::string name;
  Rank rank = 0, ranks = 0;
  std::string state, transports;
  std::string failure, late;  // empty: none
  std::int64_t failed_ns = 0, late_told_ns = 0, opened_ns = 0, closed_ns = 0;
  std::uint64_t begun = 0, bytes = 0;
  // Interfaces that its data go by side by side, where there are several; paths to peers over one of them
  // that are down now; how often one went down and came back; messages that went again by another.
  std::uint64_t rails = 0, rails_down = 0, rails_lost = 0, rails_back = 0, resent = 0;
  std::vector<Operation> operations;  // the newest, the oldest of them first

  // "tensor parallel" (1f2e3d4c), or 1f2e3d4c where it has no name.
  std::string label() const;
  const Operation* newest() const { return operations.empty() ? nullptr : &operations.back(); }
  // The newest if it runs, or if it did not end well.
  const Operation* unfinished() const;
};

struct RankOfJob {
  std::string host;
  std::int64_t pid = 0;
  Rank rank = 0;  // in its first communicator
  std::int64_t dumped_ns = 0;
  std::string reason;
  std::vector<Membership> memberships;  // the first communicator first
};

struct Job {
  std::vector<RankOfJob> ranks;
};

// "12.3 s", "45 ms".
std::string duration(std::int64_t ns);

// A dump, which anybody may have written.
Result<RankOfJob> parse_dump(std::string_view json);

}  // namespace hansa::diagnosis
