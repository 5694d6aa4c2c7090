// A Schedule is one rank's part of a collective as plain data: a list of steps of one verb,
//
//     combine: k sources into m destinations, each local or a peer.
//
// Data are named by BLOCK IDS, not bytes. An id names the same datum on every rank and in every
// place that holds it; its length is given at call time by a BlockMap (block_map.hpp), so one
// schedule serves every size and type. What the ids mean, with n ranks:
//
//   allreduce, broadcast, reduce, barrier   `blocks` ids cut the vector; input and output hold all
//   allgather, gather                       n ids, id i = rank i's contribution; a rank's input holds id
//   `self` reduce_scatter, scatter                 n ids, id i = what rank i gets; a rank's output holds id
//   `self` alltoall                                n*n ids, id s*n+d goes from rank s to rank d
//
// In place, input and output are one buffer in which equal ids share bytes; a schedule must be right
// both ways and never looks at which it is.
//
// Meaning of a step. All its operands carry the same blocks in the same order. The k sources are
// combined in list order (k = 1 copies) and the result goes to every destination. Source operands of
// place kPeer are received from that peer, destination operands of place kPeer are sent to it. A step
// runs when its dependencies have finished, and happens at once: it finishes when all its sources were
// read, all local destinations written, all sends handed over. Operands that talk to one (peer,
// direction, lane) match the peer's in list order, across all steps of both schedules; there are no
// tags. A received operand of a step that only copies to local places lands in place, once the step's
// dependencies are met; any other lands in staging of its own and can arrive earlier.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "hansa/types.hpp"

namespace hansa {

enum class Place : std::uint8_t { kInput, kOutput, kScratch, kPeer };

// Block ids first+i*stride+j for i < repeats, j < count, taken modulo the schedule's `blocks`
// (of kScratch: slot numbers, modulo `scratch_blocks`; a slot holds any one block).
struct Blocks {
  std::uint32_t first = 0, count = 1, stride = 0, repeats = 1;
  constexpr std::uint32_t size() const { return count * repeats; }
  friend bool operator==(const Blocks&, const Blocks&) = default;
};

// `peer` and `lane` mean something only at kPeer, whose `blocks` name the data that travel.
struct Operand {
  Place place = Place::kInput;
  std::uint16_t lane = 0;
  Rank peer = -1;
  Blocks blocks;
  friend bool operator==(const Operand&, const Operand&) = default;
};

// Ranges into Schedule::operands (sources first, then destinations) and Schedule::deps. At least one
// source, one destination, and one operand that is not kScratch (it gives the length).
struct Step {
  std::uint32_t operands = 0;
  std::uint32_t deps = 0;
  std::uint16_t sources = 0;
  std::uint16_t destinations = 0;
  std::uint16_t dep_count = 0;
  // The result holds every contribution: what must be done once (the division of an integer
  // average) is done here. Exactly one such step lies on every path to an output of a reduction.
  bool finish = false;
  friend bool operator==(const Step&, const Step&) = default;
};

// Steps [first_step, first_step+steps) run `times` times; in round i every block id of places other
// than kScratch is shifted by i*block_shift and every peer by i*peer_shift, modulo blocks and ranks.
// Repeats do not nest and do not overlap. A dependency on the same or a later step of the body means
// the previous round's; one from outside the body means every round.
struct Repeat {
  std::uint32_t first_step = 0, steps = 0, times = 1;
  std::int32_t block_shift = 0, peer_shift = 0;
  friend bool operator==(const Repeat&, const Repeat&) = default;
};

struct Schedule {
  std::vector<Step> steps;
  std::vector<Operand> operands;
  std::vector<std::uint32_t> deps;  // indices of steps
  std::vector<Repeat> repeats;      // in order of first_step
  Rank ranks = 1;
  std::uint32_t blocks = 1;
  std::uint32_t scratch_blocks = 0;
  std::uint16_t lanes = 1;
  // No message of any rank's schedule has more blocks. All ranks state the same number: it decides how they
  // cut chunks.
  std::uint32_t largest_message = 1;

  std::span<const Operand> sources(const Step& step) const {
    return std::span(operands).subspan(step.operands, step.sources);
  }
  std::span<const Operand> destinations(const Step& step) const {
    return std::span(operands).subspan(step.operands + step.sources, step.destinations);
  }
  std::span<const std::uint32_t> dependencies(const Step& step) const {
    return std::span(deps).subspan(step.deps, step.dep_count);
  }
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// The same schedule with every repeat written out: repeats is empty, deps are indices of the new list.
Schedule expand(const Schedule& schedule);

// Operands as an algorithm writes them.
constexpr Blocks block(std::uint32_t id) { return {id, 1, 0, 1}; }
constexpr Blocks run(std::uint32_t first, std::uint32_t count) { return {first, count, 0, 1}; }
constexpr Operand input(Blocks blocks) { return {Place::kInput, 0, -1, blocks}; }
constexpr Operand output(Blocks blocks) { return {Place::kOutput, 0, -1, blocks}; }
constexpr Operand scratch(Blocks blocks) { return {Place::kScratch, 0, -1, blocks}; }
constexpr Operand peer(Rank rank, Blocks blocks, std::uint16_t lane = 0) {
  return {Place::kPeer, lane, rank, blocks};
}

// Assembles a Schedule. Outside repeats, combine() derives the step's dependencies itself: it waits
// for every earlier step that wrote a block it reads or touched a block it writes, input and output
// blocks of one id counted as the same bytes (they are, in place). Inside a repeat nothing is derived;
// say after().
class Builder {
 public:
  Builder(Rank ranks, std::uint32_t blocks, std::uint32_t scratch_blocks = 0);

  // Appends a step, returns its index.
  std::uint32_t combine(std::span<const Operand> sources, std::span<const Operand> destinations);
  std::uint32_t combine(std::initializer_list<Operand> sources, std::initializer_list<Operand> destinations) {
    return combine(std::span(sources.begin(), sources.size()),
                   std::span(destinations.begin(), destinations.size()));
  }
  // Marks the last step as the one that finishes its result.
  Builder& finish();
  // Adds a dependency to the last step.
  Builder& after(std::uint32_t step);

  // States Schedule::largest_message.
  void limit_messages(std::uint32_t blocks);

  void begin_repeat(std::uint32_t times, std::int32_t block_shift, std::int32_t peer_shift = 0);
  void end_repeat();

  Schedule build() &&;

 private:
  Schedule schedule_;
  bool in_repeat_ = false;
};

// Combinators. All take and return one rank's schedules of one collective; `ranks` of all parts are equal.
// Results have their repeats written out. Where a step's new ids are no Blocks any more, the step is cut into
// the fewest that are, by a rule that looks at the ids alone, so that both ends of a message cut alike;
// scratch operands must then be Blocks in each piece too (runs that do not wrap always are).
//
// sequence: `second` after `first`, over the same blocks; dependencies between the two are derived
// as Builder does. Scratch is reused.
Schedule sequence(const Schedule& first, const Schedule& second);
// For the parts of a sequence. in_place: reads output where it read input, and so goes on from what earlier
// parts left there. unfinished: marks no step as finishing, because a later part does.
Schedule in_place(Schedule schedule);
Schedule unfinished(Schedule schedule);
// parallel: both at once on blocks of their own: `first` keeps blocks [0, a), `second` is moved to
// [a, a+b), its lanes behind first's, its scratch behind first's.
Schedule parallel(const Schedule& first, const Schedule& second);
// pipeline: `fragments` copies of the schedule, each over its own part of every block, all on the same
// lanes in order. Block id x of copy f becomes x*fragments+f, so input and output keep their layout. Copies
// have scratch of their own and wait for each other only where they share a channel.
Schedule pipeline(const Schedule& schedule, std::uint32_t fragments);
// on_subset: a schedule built for members.size() ranks, run by those members of a larger whole: peer i
// becomes members[i], block b becomes blocks[b] (of `total_blocks`). Where that is kNoBlock there is no such
// block: it is left out of every step.
inline constexpr std::uint32_t kNoBlock = 0xffffffffu;
Schedule on_subset(const Schedule& schedule, Rank ranks, std::span<const Rank> members,
                   std::uint32_t total_blocks, std::span<const std::uint32_t> blocks);

// on_rails: a schedule of one of several parts, each of which is several ranks that act as one. It is run
// once for every rail. On a rail one rank speaks for each part and runs the schedule: peer i
// becomes speakers[i], block b becomes blocks[b] or is left out. A source in the input becomes the inputs of
// all givers, combined in their order; what is written to the output for the last time goes to all takers as
// well. The part's other givers and takers only offer and accept. No block of the input may be read in more
// than one step.
struct Rail {
  std::vector<Rank> speakers;         // by part
  std::vector<std::uint32_t> blocks;  // by block of the schedule; other rails have others
  std::vector<Rank> givers, takers;   // of self's part
};
struct Part {
  Rank self, ranks;      // of the whole
  Rank number;           // of self's part
  std::uint32_t blocks;  // of the whole
  // What is given is a result already (a broadcast's): a giver that does not speak keeps a copy in its
  // output, and is no taker.
  bool keeps = false;
};
Schedule on_rails(const Schedule& schedule, const Part& part, std::span<const Rail> rails);

}  // namespace hansa
