// Plans of one communicator, made once and reused: what a call becomes before it can run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/logbook_layout.hpp"
#include "core/operation.hpp"
#include "core/plan_shelf.hpp"
#include "executor/execution.hpp"
#include "hansa/algorithm.hpp"
#include "hansa/status.hpp"

namespace hansa {

class PlanCache {
 public:
  // Facts that all ranks share. `message_bytes`: the least Capabilities::message_bytes() between any two, so
  // that all cut the same chunks. `direct`: every rank reaches every other's memory. `wish`: HANSA_ALGORITHM.
  // `poll` moves the endpoints on.
  struct Reach {
    std::size_t message_bytes = 0;
    bool direct = false;
  };
  PlanCache(Rank self, Rank ranks, std::span<Endpoint* const> endpoints, const Reach& reach, std::string wish,
            CombineFunction combine, std::function<bool()> poll);

  // Finds or makes the execution for the operation and starts it. The operation's number is part of what all
  // ranks must agree on.
  Status start(Operation& operation);
  // The same for a collective that was made before; false where it was not. Its number is set already.
  bool start_known(Operation& operation) {
    Known* const known = operation.kind == Operation::Kind::kCollective ? find(operation.request) : nullptr;
    if (known == nullptr) return false;
    run(operation, *known);
    return true;
  }
  // Whether a call like this one was made before, so that only its buffers can be wrong, and they are right.
  bool knows(const Request& request) {
    const Known* known = find(request);
    return known != nullptr && known->fits(request.input, request.output);
  }
  // Of memory to work in.
  std::size_t memory_bytes() const { return workspace_->bytes(); }

 private:
  // What a collective's plan is made of.
  struct Recipe {
    const Algorithm* algorithm;
    Rank root;
    bool direct;
    bool operator==(const Recipe&) const = default;
  };
  // Who a group's messages go to and come from, in order.
  struct Pattern {
    std::vector<std::pair<bool, Rank>> sends;  // (send?, peer)
    bool operator==(const std::vector<PointToPoint>& messages) const;
  };
  // A call that was made before: a repeated one asks nobody.
  struct Known {
    std::uint64_t what = kNothing;  // collective, type, operation and root, as a request begins
    std::size_t count = 0;
    Execution* execution = nullptr;
    std::uint32_t signature = 0;
    // Where the buffers must not lie: bytes that each takes, and the only way in which they may overlap, as
    // the output seen from the input.
    std::size_t input_bytes = 0, output_bytes = 0;
    std::uintptr_t in_place = 0;
    BoundCall bound;
    control::LogEntry entry;  // but for number and stamp

    bool fits(const void* input, const void* output) const noexcept;
  };
  static constexpr std::uint64_t kNothing = ~std::uint64_t{0}, kNowhere = std::uint64_t{1} << 63;

  // `premultiplied`: inputs must pass through a combine of their own rank, so nobody may read them in place.
  Result<Execution*> collective_plan(Operation& operation, bool premultiplied);
  static std::uint64_t what(const Request& request) noexcept;
  Known& place_of(const Request& request) noexcept {
    return known_[(request.count ^ what(request) << 20) * 0x9e3779b97f4a7c15u >> 59];
  }
  // Null where the call was not made before, or is never remembered.
  Known* find(const Request& request) noexcept;
  void run(Operation& operation, Known& known);
  Status bind(Operation& operation, Known& known);
  void note_buffers(const Request& request, Known& known) const;
  Result<Execution*> message_plan(const std::vector<PointToPoint>& messages);
  Status start_messages(Operation& operation);
  Status check_own_messages(const std::vector<PointToPoint>& messages) const;
  std::unique_ptr<Execution> execution_of(Plan plan) const;
  Plan make_plan(const Algorithm& algorithm, const Query& query, bool direct) const;
  BlockMap map_of(const Request& request, std::uint32_t blocks);

  Rank self_, ranks_;
  std::span<Endpoint* const> endpoints_;
  Reach reach_;
  std::string wish_;
  CombineFunction combine_;
  std::function<bool()> poll_;
  std::size_t streams_from_;
  std::shared_ptr<Workspace> workspace_ = std::make_shared<Workspace>();
  std::array<Known, 32> known_{};
  Known* last_ = known_.data();
  Known passing_;  // of a call whose tables or factor may be others the next time
  PlanShelf<Recipe> collectives_{256};
  PlanShelf<Pattern> messages_{64};
  std::vector<std::size_t> tables_;  // block tables of the running operation
};

inline std::uint64_t PlanCache::what(const Request& request) noexcept {
  static_assert(offsetof(Request, root) == 4 && sizeof(request.root) == 4);
  std::uint64_t word;
  std::memcpy(&word, &request, sizeof word);
  return word;
}

inline PlanCache::Known* PlanCache::find(const Request& request) noexcept {
  if (last_->what != what(request) || last_->count != request.count) {
    Known& place = place_of(request);
    if (place.what != what(request) || place.count != request.count) return nullptr;
    last_ = &place;
  }
  return last_;
}

inline bool PlanCache::Known::fits(const void* input, const void* output) const noexcept {
  const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
  return in != 0 && out != 0 && (in + input_bytes <= out || out + output_bytes <= in || out == in + in_place);
}

// Stamps differ for two numbers of one signature, and for two signatures at one number.
inline void PlanCache::run(Operation& operation, Known& known) {
  const Request& request = operation.request;
  operation.execution = known.execution;
  known.entry.number = operation.number;
  known.entry.stamp = known.signature ^ operation.number * 0x9e3779b1u;
  operation.entry = &known.entry;
  known.execution->start(
      known.bound, {static_cast<const std::byte*>(request.input), static_cast<std::byte*>(request.output),
                    known.entry.stamp, operation.number});
}

}  // namespace hansa
