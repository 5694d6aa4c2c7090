// What all processes of a soak share, and what the judge reads from outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "nccl.h"

namespace hansa::test {

inline constexpr int kMostRanks = 8;  // values.hpp has exact inputs for so many
inline constexpr int kMostLanes = 8;

// What one player (a rank's thread of one lane) has done, for the heartbeat and for what is left of it.
struct Tally {
  std::atomic<std::uint64_t> epoch{0}, step{0}, operations{0}, bytes{0}, communicators{0};
  std::atomic<const char*> doing{"nothing yet"};  // a literal: the same in every forked process
};

// A lane is one run of its own through all ranks: own threads, own dice, own communicators.
struct Lane {
  std::atomic<std::uint64_t> posted{0};  // how many ids, or ends, rank 0 has posted
  std::atomic<bool> over{false};
  ncclUniqueId id;
  std::atomic<int> arrived{0};
  std::atomic<std::uint64_t> meetings{0};
  Tally tallies[kMostRanks];
};

struct Board {
  std::atomic<bool> stop{false};  // ends the run after the present epochs
  Lane lanes[kMostLanes];
};

struct Run {
  std::uint64_t seed = 1, first_epoch = 0;
  double seconds = 10;
  int ranks = 2, threads = 1, lanes = 2;  // `threads`: ranks to a process
  int only_lane = -1;                     // of `lanes`, for repeating; -1: all
};

// The rest of one rank's player: its place, and what it shares.
struct Seat {
  const Run& run;
  Board& board;
  int lane, rank;

  Lane& here() const { return board.lanes[lane]; }
  Tally& tally() const { return here().tallies[rank]; }
  bool asked_to_stop() const { return board.stop.load(std::memory_order_acquire); }

  // Says what went wrong where, and how to repeat it; ends this process.
  [[noreturn]] void fail(const std::string& what) const;
  // fail() unless it succeeded.
  void demand(ncclResult_t result, const char* what, ncclComm_t comm = nullptr) const;

  // All ranks of the lane, one after the other in the same order: the next unique id.
  ncclUniqueId next_id(std::uint64_t& posted) const;
  // Whether there is another epoch: rank 0 decides.
  bool next_epoch(std::uint64_t& posted) const;
  // Waits for all ranks of the lane, without the library.
  void meet() const;
};

}  // namespace hansa::test
