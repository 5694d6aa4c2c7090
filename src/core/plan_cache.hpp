// Plans of one communicator, made once and reused: what a call becomes before it can run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/known_call.hpp"
#include "core/operation.hpp"
#include "core/plan_shelf.hpp"
#include "executor/execution.hpp"
#include "hansa/algorithm.hpp"
#include "hansa/status.hpp"

namespace hansa {

class PlanCache {
 public:
  // Facts that all ranks share. `message_bytes`: the least Capabilities::message_bytes() between any two, so
  // that all cut the same chunks. `direct`: every rank reaches every other's memory. `copies_dear`: some
  // stage all messages that a channel holds. `deposits`: they are left where peers map memory. `levels`: of
  // these ranks; outlives this. `wish`: HANSA_ALGORITHM. `poll` moves the endpoints on. `memory`, which peers
  // may map, outlives this.
  struct Reach {
    std::size_t message_bytes = 0;
    bool direct = false;
    bool copies_dear = false;
    bool deposits = false;
    const Levels* levels = nullptr;
  };
  PlanCache(Rank self, Rank ranks, std::span<Endpoint* const> endpoints, const Reach& reach, std::string wish,
            CombineChooser choose, std::function<bool()> poll, Memory& memory);

  // Finds or makes the execution for the operation and starts it. The operation's number is part of what all
  // ranks must agree on.
  Status start(Operation& operation);
  // A collective that start() has seen before, by Request::what() and its count; null where it has not, or is
  // never remembered.
  KnownCall* find(std::uint64_t what, std::size_t count) noexcept {
    if (last_->is(what, count)) return last_;
    KnownCall& place = place_of(what, count);
    return place.is(what, count) ? last_ = &place : nullptr;
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
  Result<Execution*> collective_plan(Operation& operation);
  KnownCall& place_of(std::uint64_t what, std::size_t count) noexcept {
    return known_[(count ^ what << 20) * 0x9e3779b97f4a7c15u >> 59];
  }
  Result<KnownCall*> know(Operation& operation);
  Status bind(Operation& operation, KnownCall& known);
  void note_buffers(const Request& request, KnownCall& known) const;
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
  CombineChooser choose_;
  std::function<bool()> poll_;
  std::size_t streams_from_;
  std::shared_ptr<Workspace> workspace_ = nullptr;
  std::array<KnownCall, 32> known_{};
  KnownCall* last_ = known_.data();
  KnownCall passing_;  // of a call whose tables or factor may be others the next time
  PlanShelf<Recipe> collectives_{256};
  PlanShelf<Pattern> messages_{64};
  std::vector<std::size_t> tables_;  // block tables of the running operation
};

}  // namespace hansa
