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

#include "executor/audience.hpp"
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
  // By channel; by step the operand that tells its blocks' lengths, and its audience. All of it outlives the
  // line.
  struct Bindings {
    std::span<Endpoint* const> endpoints;
    std::span<const std::uint32_t> measures;
    std::span<const Audience> audiences;
    std::size_t scratch_stride;
    std::size_t direct_bytes;  // messages from this size on go directly where the plan lets them
    CombineChooser choose;
  };

  // Works the call out; its addresses, stamp and number do not matter. Where it needs more than one chunk or
  // cell, or moves bytes directly, bound() is false afterwards.
  void bind(const Plan& plan, const Call& call, const Bindings& bindings);
  bool bound() const noexcept { return !steps_.empty(); }

  void start(const std::byte* input, std::byte* output, std::byte* scratch, std::uint32_t stamp) noexcept {
    if (input != input_ || output != output_ || scratch != scratch_) place_locals(input, output, scratch);
    ++run_;
    stamp_ = stamp;
    next_ = steps_.data();
    mismatch_.channel = kNoChannel;
  }
  // Runs steps in order until one cannot run; true if all are done. Not when done.
  bool finish() noexcept;
  // Runs every step that can run; true if any did. Not when done.
  bool advance() noexcept;
  bool done() const noexcept { return next_ == end_; }
  const Mismatch& mismatch() const noexcept { return mismatch_; }
  // A channel for which `gone` and whose message or slot some step lacks that has all else; kNoChannel if
  // there is none.
  std::uint32_t waits_for(const std::function<bool(std::uint32_t)>& gone) const;

 private:
  struct Message {
    Endpoint* endpoint;
    std::byte** operand;  // in the step's first part
    std::uint32_t channel;
    std::uint16_t lane;
    std::uint16_t width;  // operands of a part: its place in the next part is so much further
  };
  // As much of a step as lies together at every operand.
  struct Part {
    CombineFunction combine;
    CombineCall call;
    CombineFunction streamed;  // with call.streams as `cell`; set in steps that may stream
    int cell;                  // the first destination that is a peer's, if the part is long; else -1
    std::uint16_t kept;        // destinations that are no peer's; they come first
    CombineFunction posted, posted_streamed;  // into those and the first of the peers'; in steps that post
  };
  // Most steps have one part and one small message, which need no loops. kLarge: may stream; kPosts: has an
  // audience.
  enum class Shape : std::uint8_t { kAny, kSend, kReceive, kLarge, kPosts };
  // Pointers lead into the vectors below, which have their final size when they are set.
  struct Step {
    const Message *received, *sent, *end;  // where these messages begin
    const Part *parts, *parts_end;
    const Audience* audience = nullptr;
    const Step* after;       // runnable for certain once all steps before this one are done
    std::uint64_t done = 0;  // in this run, though a step before it was not
    std::uint32_t bytes = 0, stamp = 0;
    std::uint32_t deps = 0;  // the first
    std::uint16_t part_count = 0, dep_count = 0;
    Shape shape = Shape::kAny;
  };
  // An operand in memory, and where it lies.
  struct Local {
    std::byte** operand;
    Place place;
    std::size_t offset;
  };
  class Binder;

  void set_pointers(const Plan& plan);
  static void choose_kernels(Part& part, bool posts, CombineChooser choose);
  void place_locals(const std::byte* input, std::byte* output, std::byte* scratch) noexcept;
  bool runnable(const Step& step) const noexcept;
  template <Shape kShape>
  bool run_as(const Step& step) noexcept;
  bool run(const Step& step) noexcept;
  bool run_long(const Step& step) noexcept;
  static void place_rest(const Step& step) noexcept;
  static bool streams(const Step& step) noexcept;
  static void combine_streamed(const Part& part) noexcept;
  static void combine_posted(const Part& part, bool streamed) noexcept;

  std::vector<Step> steps_;
  std::vector<Message> messages_;    // by step: those received, then those sent
  std::vector<std::uint32_t> deps_;  // those of the schedule, and the step before on each channel
  std::vector<Part> parts_;          // their calls' spans are in operands_
  std::vector<std::byte*> operands_;
  std::vector<Factor> factors_;  // by operand, if any is multiplied
  std::vector<Local> locals_;
  const std::byte* input_ = nullptr;  // where they lie, by Place
  std::byte *output_ = nullptr, *scratch_ = nullptr;
  std::vector<std::uint32_t> last_on_;  // by channel, while binding

  std::uint32_t stamp_ = 0;
  std::uint64_t run_ = 0;
  Step *next_ = nullptr, *end_ = nullptr;  // the first step that is not done; behind the last one
  Mismatch mismatch_;
};

}  // namespace hansa
