// A Plan is a schedule made ready to run: repeats written out, every peer operand bound to a channel,
// every message given a mechanism. Still without addresses and counts; those come at start. Pure data:
// the checker proves the same Plan that the executor runs.
//
// HOW A PLAN RUNS. A call is cut into CHUNKS: chunk c takes elements [c*u, (c+1)*u) of every block, u
// being the same on all ranks. Every step runs once for each chunk, chunks in order within a step. A
// step whose blocks are all empty in a chunk c > 0 is left out of that chunk, on both sides alike; chunk 0
// always runs. A message is the blocks of one operand in one chunk, packed, cut into CELLS of one slot.
//
// Order on a channel (what both sides agree on without talking):
//   kChunkMajor  all messages of chunk 0 in list order, then those of chunk 1, ... (collectives)
//   kStepMajor   all chunks of the first step, then those of the second, ... (groups of send and receive,
//                where the two sides may have been grouped differently)
//
// A step runs for chunk c when: its dependencies have run for chunk c; it stands next on each of its
// channels; all cells of its received messages have arrived; the slots for all it sends are free; and the
// slowest step is less than `window` chunks behind (scratch exists `window` times).
//
// DIRECT PLANS. Where every rank can reach every other's memory, a plan whose every message has one end that
// does nothing but offer or accept memory needs no slots for bytes, so a call is one chunk, unless it is to
// be cut (below). A message of at least kDirectBytes then moves in one copy, by one of two mechanisms that
// both ends know from the schedules alone; a smaller one is staged as ever.
//   kPull  the sender offers: it sends a Descriptor of its source; the receiver's combine reads there and
//          says so by a note on the return lane. A step that offers has no dependents, so nobody waits for a
//          note but the end of the call.
//   kPush  the receiver accepts: as soon as its step's dependencies are met it sends a Descriptor of its
//          destination over the return lane; the sender's combine writes there and sends an empty message.
// Where both would do, messages of even lanes are pulled and those of odd ones pushed.
//
// The sender of a message may stage it after all where that is faster, if half a channel holds it: the length
// of its first slot tells the receiver (Capabilities::staged). Or it leaves the message in its depot, memory
// that all map, and offers that, once for all who read it (Capabilities::deposits); a step leaves a chunk
// there once all have read the one of two before. So that either can be, a call whose messages are one
// block each may be cut into chunks, each with offers and notes of its own. The return lane of lane L is lane
// L + kReturnLanes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "hansa/schedule.hpp"

namespace hansa {

enum class ChunkOrder : std::uint8_t { kChunkMajor, kStepMajor };

enum class Mechanism : std::uint8_t { kStaged, kPull, kPush };

inline constexpr std::uint32_t kNoChannel = 0xffffffffu;
inline constexpr std::uint16_t kReturnLanes = 2;        // a plan has at most so many lanes of its own
inline constexpr std::size_t kDirectBytes = 32 * 1024;  // or half a channel, where that is less

// One direction of one lane to one peer, and which steps use it, in order.
struct Channel {
  Rank peer = -1;
  std::uint16_t lane = 0;
  bool outgoing = false;
  std::vector<std::uint32_t> steps;
};

struct Plan {
  Schedule schedule;  // expanded
  std::vector<Channel> channels;
  std::vector<std::uint32_t> channel_of;  // by operand; kNoChannel for local ones
  std::vector<Mechanism> mechanism_of;    // by operand; kStaged for local ones
  bool direct = false;                    // every message has a mechanism other than kStaged
  bool folds = false;                     // of a direct plan: some rank combines what it pulls with something
  std::uint32_t most_senders = 0;         // of a direct plan: the steps of a rank that send, of whom has most
  ChunkOrder order = ChunkOrder::kChunkMajor;
  std::uint32_t window = 4;
};

struct LoweringOptions {
  ChunkOrder order = ChunkOrder::kChunkMajor;
  std::uint32_t window = 4;
};

// Binds a schedule. `schedule` may have repeats.
Plan lower(const Schedule& schedule, const LoweringOptions& options = {});

// The direct plan of rank `self`, or none where a message has no such end. Needs all ranks' schedules because
// an end's mechanism follows from the other's step. What an accepting step waited for only because it
// overwrites what the same peer's same combine has just read (in place) is dropped: that combine keeps the
// order itself.
std::optional<Plan> lower_direct(std::span<const Schedule> by_rank, Rank self);

// Elements of one chunk of one block: as many as let the plan's largest message fit `message_bytes`, which is
// what every channel can hold twice (Capabilities::message_bytes): a rank that relays must be able to send on
// while its next message arrives. Every rank must pass the same numbers. At least 1.
std::size_t chunk_elements(std::uint32_t largest_message, std::size_t element_bytes,
                           std::size_t message_bytes);

}  // namespace hansa
