// What the checker's parts share: which blocks a rank holds, and all ranks' schedules side by side.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hansa/algorithm.hpp"
#include "hansa/plan.hpp"
#include "hansa/schedule.hpp"
#include "hansa/status.hpp"
#include "schedule/check_graph.hpp"

namespace hansa::proof {

inline constexpr std::uint32_t kNone = 0xffffffffu;

// The collective whose schedules `collective` runs: itself, or the plain form of a v-form or barrier.
Collective plain(Collective collective);

// The ids that a rank's input or output has: first + k*stride for k < count.
struct Held {
  std::uint32_t first = 0, stride = 1, count = 0;
  // k, or kNone.
  std::uint32_t index(std::uint32_t id) const {
    if (id < first || (id - first) % stride != 0 || (id - first) / stride >= count) return kNone;
    return (id - first) / stride;
  }
};
Held held(const Query& query, Place place, Rank rank, std::uint32_t blocks);

// The k-th id. The blocks passed check_form().
inline std::uint32_t id_at(const Blocks& blocks, std::uint32_t k, std::uint32_t modulus) {
  return (blocks.first + k / blocks.count * blocks.stride + k % blocks.count) % modulus;
}

// All ranks' schedules, written out. Steps and operands are numbered through, rank after rank. The originals
// and the query must outlive it.
struct Whole {
  Whole(const Query& q, std::span<const Schedule> schedules) : query(q), originals(schedules) {}

  const Query& query;
  std::span<const Schedule> originals;
  std::vector<Schedule> by_rank;
  std::vector<Node> first_step;              // of every rank, and one past the last
  std::vector<std::uint32_t> first_operand;  // likewise
  std::vector<Rank> rank_of;                 // by step
  std::vector<Node> step_of;                 // by operand
  std::vector<std::uint32_t> partner;        // by operand: the one at its message's other end, or kNone
  std::vector<Mechanism> mechanism;          // by operand, of plans; empty: all are staged

  const Step& step(Node node) const {
    const Rank rank = rank_of[node];
    return by_rank[static_cast<std::size_t>(rank)].steps[node - first_step[static_cast<std::size_t>(rank)]];
  }
  const Schedule& schedule(Node node) const { return by_rank[static_cast<std::size_t>(rank_of[node])]; }
  std::uint32_t first_operand_of(Node node) const {
    return first_operand[static_cast<std::size_t>(rank_of[node])] + step(node).operands;
  }
  // The blocks that a step carries: those of its first operand outside scratch.
  const Blocks& carried(Node node) const;
  bool carries(Node node, std::uint32_t id) const;
  std::span<const Operand> operands(Node node) const {
    const Step& s = step(node);
    return std::span(schedule(node).operands).subspan(s.operands, std::size_t{s.sources} + s.destinations);
  }
  Mechanism moves(std::uint32_t operand) const {
    return mechanism.empty() ? Mechanism::kStaged : mechanism[operand];
  }
  // One peer into local places only: such a message lands in place.
  bool lands(Node node) const;
  // "rank 3 step 5".
  std::string name(Node node) const;
};

std::string name_of(const Operand& operand);
Status wrong(std::string message);

// The proof's parts, in the order in which each relies on those before.
//
// Indices, repeats and dependencies lie in range, so that expand() may be called.
Status check_form(const Query& query, Rank self, const Schedule& schedule);
// Writes everything out and numbers it.
Status lay_out(Whole& whole);
// Every step by itself: operands carry the same blocks, touch what the rank has, do not overlap.
Status check_steps(const Whole& whole, Rank self);
// Finds every message's receiver; nothing is left over, and both ends name the same blocks.
Status match(Whole& whole);
// All of the above.
Status check_structure(Whole& whole);
// The steps of all ranks and what each waits for, with zero buffering. Sorted, else the deadlock in words.
Status check_progress(const Whole& whole, Graph& graph);
// No two unordered accesses to one block where one writes.
Status check_races(const Whole& whole, const Graph& graph);
// Every promised output block holds every contribution once.
Status check_values(const Whole& whole, const Graph& graph, bool in_place);
// Messages and rounds are those that the row states; steps suit uneven blocks where it says so.
Status check_cost(const Whole& whole, const Graph& graph, const Algorithm& row);
// The last four. `row` may be null: then nothing is said of the cost.
Status check_meaning(const Whole& whole, const Algorithm* row);

// One rank's blocks as numbered cells: input, then output, then scratch. In place, an output block shares the
// cell of the input block of its id.
class Cells {
 public:
  Cells(const Query& query, Rank rank, const Schedule& schedule, bool in_place);
  std::uint32_t count() const { return count_; }
  // The k-th block of a local operand.
  std::uint32_t at(const Operand& operand, std::uint32_t k) const;

 private:
  Held input_, output_;
  std::uint32_t blocks_, scratch_, count_;
  bool in_place_;
};

}  // namespace hansa::proof
