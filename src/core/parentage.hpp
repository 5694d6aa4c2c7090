// How a communicator comes from another one: which ranks of the parent make it, and who they are in it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "hansa/bootstrap.hpp"
#include "hansa/status.hpp"

namespace hansa {

// A rank's place in a communicator to be made.
struct Seating {
  UniqueId id{};
  Rank rank = -1;  // -1: none
  Rank ranks = 0;
};

// What a rank asks for: a color (below 0: no place), and where it wants to stand among those of its color.
struct SplitWish {
  std::int32_t color = 0, key = 0;
};

// Places by rank of the parent: those of one color together, by key, then by rank of the parent. Without ids.
std::vector<Seating> seat(const std::vector<SplitWish>& wishes);

// Collective over the parent's session: every rank says its wish and gets its place. The first rank of each
// color serves as its root. Blocks.
Result<Seating> divide(Session& parent, const SplitWish& wish, const SessionOptions& options);

// Divisions of one parent in the order in which they were asked for, whichever thread comes first: all ranks
// ask in the same order.
class Queue {
 public:
  std::uint64_t enter();
  // False if it was cancelled before its turn.
  bool await(std::uint64_t ticket, const std::atomic<bool>& cancelled);
  void leave();

 private:
  std::mutex mutex_;
  std::condition_variable moved_;
  std::uint64_t next_ = 0, serving_ = 0;
};

}  // namespace hansa
