// How a communicator comes from another one: which ranks of the parent make it, and who they are in it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hansa/bootstrap.hpp"
#include "hansa/status.hpp"

namespace hansa {

// A rank's place in a communicator to be made.
struct Seating {
  UniqueId id{};
  Rank rank = -1;  // -1: none
  Rank ranks = 0;
  bool root_may_be_late = false;  // see SessionOptions
};

// Split: a color (below 0: no place), and where the rank wants to stand among those of its color.
struct SplitWish {
  std::int32_t color = 0, key = 0;
};
// Shrink: without these, ascending, each once; the caller is none of them.
struct ShrinkWish {
  std::vector<Rank> excluded;
};
// Grow: to so many; exactly one rank of the parent has the id that the new ones join with.
struct GrowWish {
  Rank ranks = 0;
  std::optional<UniqueId> id;
};
using Wish = std::variant<SplitWish, ShrinkWish, GrowWish>;

// Places by rank of the parent: those of one color together, by key, then by rank of the parent. Without ids.
std::vector<Seating> seat(const std::vector<SplitWish>& wishes);

// One rank's side of finding the places in the children of a communicator. One child at a time, in the order
// in which they were asked for, whichever thread comes first: all ranks ask in the same order.
class Descent {
 public:
  std::uint64_t enter();
  // Waits for a child's turn; false if it was cancelled before.
  bool await(std::uint64_t ticket, const std::atomic<bool>& cancelled);
  void leave();

  // Within its turn. Split and Grow are collective over the parent (null: it has one rank), Shrink over those
  // that stay. Split and Shrink work also where the parent has failed: then its ranks meet anew. Blocks.
  Result<Seating> place(Session* parent, const Wish& wish, const SessionOptions& options);

 private:
  Result<Seating> split(Session& parent, const SplitWish& wish, const SessionOptions& options);
  Result<Seating> shrink(Session& parent, const ShrinkWish& wish);
  std::string occasion(const std::string& name);

  std::mutex mutex_;
  std::condition_variable moved_;
  std::uint64_t next_ = 0, serving_ = 0;
  std::map<std::string, std::uint64_t> occasions_;  // how many of a name there were
};

}  // namespace hansa
