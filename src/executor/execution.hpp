// The host engine: runs plans. The only progress state machine there is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "executor/audience.hpp"
#include "executor/call.hpp"
#include "executor/direct_messages.hpp"
#include "executor/freight_messages.hpp"
#include "executor/operand_cursor.hpp"
#include "executor/straight_line.hpp"
#include "executor/workspace.hpp"
#include "hansa/block_map.hpp"
#include "hansa/device.hpp"
#include "hansa/plan.hpp"
#include "hansa/status.hpp"
#include "hansa/transport.hpp"

namespace hansa {

// A call as start() takes it: what it shares with others of the same plan, map, type, operation and chunk,
// worked out once.
struct BoundCall {
  Call call;
  std::size_t scratch_stride = 0, scratch_bytes = 0;
  StraightLine line;  // bound if the call has that form
};

// A plan bound to endpoints, with the state of one run. Reused for call after call; between start() and
// done() it must be driven by one thread at a time. start() and advance() allocate only while the first calls
// grow the scratch.
class Execution {
 public:
  // `endpoints[r]` reaches rank r; may be null where the plan has no channel to r. All outlive this. `poll`
  // moves their transports on, for copies that do not end at once. The workspace serves one call at a time.
  Execution(Plan plan, std::span<Endpoint* const> endpoints, CombineChooser choose,
            std::function<bool()> poll, std::shared_ptr<Workspace> workspace);

  // Works a call out for start(). Bound again, a BoundCall keeps its memory.
  void bind(const Call& call, BoundCall& bound) const;
  // Begins a call like the bound one, which stays until the call is done. The previous one must be done or
  // abandoned. The line that it runs along, for who wants to drive that first; null where it goes by chunks.
  StraightLine* start(BoundCall& bound, Occasion occasion) {
    if (!failure_.ok()) [[unlikely]]
      forget_failure();
    call_.stamp = occasion.stamp;
    scratch_ = bound.scratch_bytes > 0 ? workspace_->scratch(bound.scratch_bytes) : nullptr;
    line_ = &bound.line;
    if (!line_->bound()) [[unlikely]] {
      start_chunks(bound, occasion.input, occasion.output, occasion.stamp, occasion.number);
      return nullptr;
    }
    line_->start(occasion.input, occasion.output, scratch_, occasion.stamp);
    return line_;
  }
  // Both, for a call that is made once.
  void start(const Call& call);
  // Runs every step that can run; true if any did, or a peer has read what it was left. Between steps and
  // pieces it looks at `ended`, which any thread may set, and then runs nothing more. Blocks only where
  // `alone` says that the thread drives nothing else: then a step may wait in the middle for a peer that
  // helps to copy.
  bool advance(const std::atomic<bool>& ended, bool alone = false) {
    return line_ != nullptr ? advance_line(ended) : advance_chunks(ended, alone);
  }
  bool done() const noexcept {
    return (line_ != nullptr ? line_->done()
                             : unfinished_.empty() && freight_.flying() == 0 && direct_.unread() == 0) ||
           !failure_.ok();
  }
  // Why the call cannot be finished; ok while it can.
  const Status& failure() const noexcept { return failure_; }
  const Plan& plan() const noexcept { return plan_; }
  // Whether transports and peers reach memory of the caller's themselves, so that a call that failed must be
  // ended there, too (Endpoint::quiesce).
  bool exposes_memory() const noexcept { return plan_.direct || (line_ == nullptr && freight_.active()); }
  // A rank for which `gone` and without which some step that is next on its channel cannot run, or the call
  // cannot end: its message has not come, it gives back no slots, it has not read what was left for it. -1 if
  // there is none.
  Rank waits_for(const std::function<bool(Rank)>& gone) const;

 private:
  // What runs next on a channel: the step at `position` of its list, for `chunk`.
  struct Cursor {
    std::uint32_t position = 0, chunk = 0;
  };

  [[gnu::cold, gnu::noinline]] void forget_failure() noexcept { failure_ = Status(); }
  void start_chunks(const BoundCall& bound, const std::byte* input, std::byte* output, std::uint32_t stamp,
                    std::uint32_t number);
  bool advance_chunks(const std::atomic<bool>& ended, bool alone);
  bool advance_line(const std::atomic<bool>& ended) {
    if (line_->done() || ended.load(std::memory_order_relaxed)) return false;
    const bool any = line_->advance();
    if (line_->mismatch().channel != kNoChannel) [[unlikely]]
      fail_line();
    return any;
  }
  void fail_line();
  bool try_step(std::uint32_t step);
  bool dependencies_met(std::uint32_t step, std::uint32_t chunk) const;
  bool may_move(std::uint32_t channel, std::uint32_t step) const;
  bool on_turn(std::uint32_t step, std::uint32_t chunk) const;
  // Whether the operand's message can move now; collects its cells.
  bool acquire(std::uint32_t operand, std::uint32_t step, std::size_t bytes);
  // What every cell of a step's messages carries.
  std::uint32_t stamp_of(std::uint32_t step) const noexcept {
    return call_.stamp ^ length_stamp(total_[step] * element_bytes_);
  }
  void transfer(std::uint32_t step, std::uint32_t chunk);
  bool route_direct(std::uint32_t step);
  void prepare(std::uint32_t step, std::uint32_t chunk, CombineCall& combine, std::size_t bytes);
  // Bytes from which the step's k-th operand, a message to be sent, is written past the caches.
  std::size_t message_streams_from(std::uint32_t step, std::uint32_t k) const;
  int streamed_destination(std::uint32_t step, std::size_t bytes) const;
  void place(const Step& step, std::uint32_t block, std::uint32_t chunk);
  void combine_run(const Step& step, CombineCall& combine, std::size_t bytes, std::size_t following);
  // Whether a direct plan of the call is cut into chunks. Only a message of one block is then still one run
  // of bytes.
  bool cuts(const Call& call) const {
    return call.direct_chunk != SIZE_MAX && plan_.schedule.largest_message == 1;
  }
  bool goes_direct(std::uint32_t operand, std::size_t bytes) const {
    return plan_.mechanism_of[operand] != Mechanism::kStaged && bytes >= direct_bytes_ &&
           direct_.remote(operand).route != Route::kSlots;
  }
  // Whether the outgoing message may be left in the depot.
  bool leaves_in_depots(std::uint32_t operand) const {
    return call_.deposits && cuts(call_) && endpoint_of_[plan_.channel_of[operand]]->capabilities().deposits;
  }
  // How an outgoing message had better move; of one that is to be written, its receiver's memory is known.
  Route route_of(std::uint32_t operand, std::uint32_t step, std::size_t bytes) const;
  bool better_by_slots(std::uint32_t operand, std::uint32_t step, std::size_t bytes) const;
  // Where a step leaves what its receivers read there: its next chunk, in turn with the one before. Null if
  // there is no memory for it.
  std::byte* depot_of(std::uint32_t step);
  bool learn(std::uint32_t operand, std::uint32_t channel, const Offer& offer, std::size_t bytes);
  bool acquire_direct(std::uint32_t operand, std::uint32_t step, std::size_t bytes);
  bool acquire_outgoing(std::uint32_t operand, std::uint32_t step, std::size_t bytes);
  // Whether the step only accepts what a peer writes into its destination, as far as is known.
  bool accepts(std::uint32_t step, std::size_t bytes) const;
  void announce(std::uint32_t step, std::size_t bytes);
  void hand_over_direct(std::uint32_t operand, std::uint32_t step, std::size_t bytes);
  void hand_over_cells(const Channel& channel, Endpoint& endpoint, std::uint32_t step, std::size_t bytes);
  // Whether the step's message, for which all receivers have slots, is posted for them.
  bool posts(std::uint32_t step, std::size_t bytes) const;
  void hand_over_posts(std::uint32_t step, std::size_t bytes);
  // Copies between a peer's memory, which is not mapped, and this rank's; `k` counts the step's operands.
  void begin_fetch(std::uint32_t k, std::uint32_t operand, std::size_t offset, Bytes into);
  void deliver(std::uint32_t k, std::uint32_t operand, std::size_t offset, BytesView from);
  void finish_copy(std::uint32_t k, std::uint32_t operand);
  void fetch_sources(const Step& step, std::size_t bytes, std::size_t following);
  // Whether the step only copies, from or to memory of this rank: then nothing is put by in between.
  bool copies_straight(const Step& step, const CombineCall& combine) const;
  void copy_run(const Step& step, const CombineCall& combine, std::size_t bytes);
  // The memory of an operand that is one run.
  Bytes local_memory(const Operand& operand, std::size_t bytes, std::uint32_t chunk) const;
  void hand_over(std::uint32_t step, std::size_t bytes);
  void finish_chunk(std::uint32_t step);
  void pass(std::uint32_t channel) { (void)move_on(plan_.channels[channel], cursors_[channel]); }
  // To the channel's next message; false if there is none.
  bool move_on(const Channel& channel, Cursor& cursor) const;
  std::byte* address_of(const Operand& operand, std::uint32_t block, std::uint32_t chunk) const;
  void start_freight();
  bool tend_freight();
  void fail_freight(std::uint32_t channel);
  void post_landings(std::uint32_t channel);
  std::byte* run_of(const Operand& operand, std::uint32_t chunk) const;
  std::byte* landing_place(std::uint32_t step, std::uint32_t chunk) const;
  std::byte* landed(std::uint32_t channel) {
    FreightMessages::Ring& ring = freight_.ring(channel);
    return ring.at(ring.taken).memory;
  }
  bool acquire_freight(std::uint32_t channel);
  void route_freight(std::uint32_t step, std::uint32_t chunk, const CombineCall& combine, std::size_t bytes);
  void hand_over_freight(std::uint32_t k, std::uint32_t channel, std::size_t bytes);
  Status mismatch(const Channel& channel, std::size_t theirs, std::size_t ours) const;
  void fail_mismatch(const Channel& channel, const Arrival& arrival, std::size_t expected);
  std::size_t step_elements(std::uint32_t step, std::uint32_t chunk) const;
  // What is staged must fit half a channel, or two ends wait for each other.
  std::size_t direct_bytes(const Call& call) const;
  std::size_t block_elements(const Operand& operand, std::uint32_t index) const;
  std::size_t piece(std::size_t elements, std::uint32_t chunk) const;

  Plan plan_;
  CombineChooser choose_;
  std::function<bool()> poll_;
  std::shared_ptr<Workspace> workspace_;
  std::vector<Endpoint*> endpoint_of_;      // by channel
  std::vector<std::uint32_t> position_of_;  // by operand: place in its channel's list
  std::vector<std::uint32_t> measure_of_;   // by step: the operand that tells its blocks' lengths
  std::vector<std::uint32_t> sender_of_;    // by step: how many before it send
  std::vector<Audience> audience_of_;       // by step

  BoundCall own_;                 // of start(const Call&)
  StraightLine* line_ = nullptr;  // runs in this form; null: by chunks
  Call call_;
  std::size_t direct_bytes_ = kDirectBytes;
  const std::atomic<bool>* ended_ = nullptr;
  bool alone_ = false;
  std::size_t element_bytes_ = 1, scratch_stride_ = 0;
  std::vector<Cursor> cursors_;               // by channel
  std::vector<std::uint32_t> next_, chunks_;  // by step: chunk to run next, how many there are
  std::vector<std::size_t> total_;            // by step: elements of all its chunks
  std::vector<std::uint32_t> unfinished_;     // steps, in list order
  std::uint32_t slowest_ = 0;                 // the least of next_ over unfinished steps
  std::byte *scratch_ = nullptr, *pieces_ = nullptr;
  DirectMessages direct_;
  FreightMessages freight_;
  std::vector<Cursor> landing_cursors_;              // by channel: the next message that may need a place
  std::vector<FreightMessages::Voyage> departures_;  // by operand of the running step
  std::vector<Completion> copies_;  // by operand of the running step; stay when a call is given up
  bool fetched_ahead_ = false, second_piece_ = false;
  bool posted_ = false;  // the running step's message
  Rank copies_with_ = -1;
  Status failure_;

  std::vector<OperandCursor> walk_;  // by operand of the running step
  std::vector<const std::byte*> from_;
  std::vector<std::byte*> to_;
  std::vector<Factor> factors_;
};

}  // namespace hansa
