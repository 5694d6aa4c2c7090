// A call in its shortest form: every step is one chunk, every message one cell, and all that follows from
// plan, count and type is worked out beforehand. What is left to do for a step is to look at its cells, to
// combine and to hand over.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "executor/call.hpp"
#include "hansa/device.hpp"
#include "hansa/plan.hpp"
#include "hansa/transport.hpp"

namespace hansa {

// Binding again reuses the memory; start() and advance() allocate nothing. Not copyable once bound.
class StraightLine {
 public:
  // A message of another call than this rank's.
  struct Mismatch {
    std::uint32_t channel = kNoChannel;
    std::size_t expected = 0;
    Arrival arrival;
  };
  // By channel, and by step the operand that tells its blocks' lengths. All of it outlives the line.
  struct Bindings {
    std::span<Endpoint* const> endpoints;
    std::span<const std::uint32_t> measures;
    std::size_t scratch_stride;
    std::size_t direct_bytes;  // messages from this size on go directly where the plan lets them
  };

  // Works the call out; its addresses, stamp and number do not matter. Where it needs more than one chunk or
  // cell, or moves bytes directly, bound() is false afterwards.
  void bind(const Plan& plan, const Call& call, const Bindings& bindings);
  void unbind() noexcept { steps_.clear(); }
  bool bound() const noexcept { return !steps_.empty(); }

  void start(const std::byte* input, std::byte* output, std::byte* scratch, std::uint32_t stamp) noexcept;
  // Runs every step that can run; true if any did.
  bool advance(CombineFunction combine) noexcept;
  bool done() const noexcept { return next_ == steps_.size(); }
  const Mismatch& mismatch() const noexcept { return mismatch_; }
  // A channel for which `gone` and whose message or slot some step lacks that has all else; kNoChannel if
  // there is none.
  std::uint32_t waits_for(const std::function<bool(std::uint32_t)>& gone) const;

 private:
  struct Step {
    std::uint32_t operands, messages, deps, runs;  // the first of each
    std::uint32_t received, sent, dep_count, run_count;
    std::uint16_t sources, destinations;
    std::int16_t premultiplied;
    bool finish, done;
    std::uint32_t bytes, stamp;
  };
  struct Message {
    Endpoint* endpoint;
    std::uint32_t channel;
    std::uint16_t lane, base;  // its cell's
  };
  // So many elements that lie together at every operand; the offsets are bytes, by operand.
  struct Run {
    std::size_t elements, offsets;
  };

  bool add(const Plan& plan, const Call& call, const Bindings& bindings, std::uint32_t index);
  void add_runs(const Plan& plan, const Call& call, const Bindings& bindings, std::uint32_t index);
  bool runnable(const Step& step) const noexcept;
  bool try_step(Step& step, CombineFunction combine) noexcept;
  bool acquire(const Step& step) noexcept;
  void transfer(const Step& step, CombineFunction combine) noexcept;
  void hand_over(const Step& step) const noexcept;

  std::vector<Step> steps_;
  std::vector<std::uint32_t> base_of_;  // by operand
  std::vector<Message> messages_;       // by step: those received, then those sent
  std::vector<std::uint32_t> deps_;     // those of the schedule, and the step before on each channel
  std::vector<Run> runs_;
  std::vector<std::size_t> offsets_;
  std::vector<std::uint32_t> last_on_;  // by channel, while binding
  std::vector<std::byte*> at_;          // by operand of the running step
  CombineCall call_;
  std::int64_t divisor_ = 1;

  // What offsets count from: input, output, scratch, then the cells of the running step's messages.
  static constexpr std::size_t kCells = 3;
  std::vector<std::byte*> bases_;
  std::uint32_t stamp_ = 0;
  std::size_t next_ = 0;  // the first step that is not done
  Mismatch mismatch_;
};

}  // namespace hansa
