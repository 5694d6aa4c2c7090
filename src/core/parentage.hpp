// How a communicator comes from another one: which ranks of the parent make it, and who they are in it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
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
  std::vector<Rank> kin{};        // the ranks of the parent that are to come, where others could miss them
  std::string occasion{};         // what Descent::remember() is to be told when all have come; empty: nothing
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

// One rank's side of finding the places in the children of a communicator, and of whatever else its session
// does on behalf of a call: one at a time, in the order of the calls, whichever thread comes first. All ranks
// call in the same order.
class Descent {
 public:
  // A place in that order. Its turn ends, or will be passed over, when it goes.
  class Ticket {
   public:
    explicit Ticket(Descent& descent);
    ~Ticket();
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    // Waits for its turn; false if it was cancelled before.
    bool await(const std::atomic<bool>& cancelled);

   private:
    Descent& descent_;
    std::uint64_t number_;
  };

  // Within a turn. Split and Grow are collective over the parent (null: it has one rank), Shrink over those
  // that stay. Split and Shrink work also where the parent has failed: then its ranks meet anew. Blocks.
  Result<Seating> place(Session* parent, const Wish& wish, const SessionOptions& options);
  // The ranks have met: a further occasion of this name is another one.
  void remember(const std::string& occasion);

 private:
  Result<Seating> split(Session& parent, const SplitWish& wish, const SessionOptions& options);
  Result<Seating> shrink(Session& parent, const ShrinkWish& wish);
  std::string numbered(const std::string& occasion);

  std::mutex mutex_;
  std::condition_variable moved_;
  std::uint64_t next_ = 0, serving_ = 0;
  std::set<std::uint64_t> passed_over_;
  std::map<std::string, std::uint64_t> occasions_;  // how many of a name there were
};

}  // namespace hansa
