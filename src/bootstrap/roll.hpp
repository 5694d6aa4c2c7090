// The roll call: what ranks say when one of them is concerned about the others, as bytes, and the judgement
// of it. Pure functions; every parse() trusts nothing.
//
// A concern travels up the tree of hosts to its first leader, who calls the roll; every rank answers what it
// does, and for one that does not, the leader of its host does. The first leader judges, and tells everybody.
#pragma once

#include <string>
#include <vector>

#include "bootstrap/messages.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {

struct RaisedConcern {
  Rank rank = 0;
  Concern concern;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, RaisedConcern* out);
};

struct RollCall {
  std::uint64_t sequence = 0;
  std::uint64_t number = 0;  // of the collective it is about; 0: none

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, RollCall* out);
};

// A call that a process waits in on another communicator.
struct Elsewhere {
  std::string call;                      // with the communicator
  std::vector<std::uint64_t> waits_for;  // processes, see Member::process
};

struct Presence {
  static constexpr std::size_t kMostElsewhere = 8;

  Whereabouts whereabouts;
  std::vector<Elsewhere> elsewhere;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Rank ranks, Presence* out);
};

std::vector<std::byte> encode_verdict(const Verdict& verdict);
bool parse_verdict(BytesView bytes, Rank ranks, Verdict* out);

// What came of a roll: a failure where calls differ, else a verdict.
struct Judgement {
  Status failure;
  Verdict verdict;
};

// `roll` has every rank's answer. Of several concerns the gravest counts.
Judgement judge(const std::vector<Member>& members, const std::vector<Presence>& roll,
                const RaisedConcern& concern);

// Whether the rank is still in the call that a concern with that number was about.
bool still_in(const Whereabouts& is, std::uint64_t number);

// Whether a process of this host is stopped (SIGSTOP, a debugger).
bool is_stopped(std::int32_t pid);
// Whether there is none by that number any more, or nothing of it but its exit status.
bool has_ended(std::int32_t pid);

}  // namespace hansa::bootstrap
