// Plans: that they are what lower() promises, and that chunks in channels of few slots never stop.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "schedule/check.hpp"
#include "schedule/check_parts.hpp"

namespace hansa {
namespace proof {
namespace {

Status check_channel(const Plan& plan, const Channel& channel, std::uint32_t number) {
  std::vector<std::uint32_t> steps;
  for (std::uint32_t s = 0; s < plan.schedule.steps.size(); ++s) {
    const Step& step = plan.schedule.steps[s];
    for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k)
      if (plan.channel_of[k] == number) steps.push_back(s);
  }
  if (steps != channel.steps)
    return wrong(
        fmt::format("channel {} to rank {} lists other steps than those that use it", number, channel.peer));
  return {};
}

// The plan binds its schedule: each peer operand to the one channel of its peer, lane and direction.
Status check_binding(const Plan& plan) {
  const Schedule& schedule = plan.schedule;
  if (!schedule.repeats.empty()) return wrong("the plan has repeats");
  if (plan.window == 0) return wrong("a window of 0 chunks");
  if (plan.channel_of.size() != schedule.operands.size() ||
      plan.mechanism_of.size() != schedule.operands.size())
    return wrong("channels or mechanisms are not given by operand");
  std::map<std::tuple<Rank, std::uint16_t, bool>, std::uint32_t> known;
  for (std::uint32_t c = 0; c < plan.channels.size(); ++c)
    if (const Channel& channel = plan.channels[c];
        !known.emplace(std::tuple(channel.peer, channel.lane, channel.outgoing), c).second)
      return wrong(fmt::format("two channels to rank {} lane {}", channel.peer, channel.lane));
  for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
    const Step& step = schedule.steps[s];
    for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
      const Operand& operand = schedule.operands[step.operands + k];
      const auto channel = plan.channel_of[step.operands + k];
      const auto right = operand.place == Place::kPeer
                             ? known.find({operand.peer, operand.lane, k >= step.sources})
                             : known.end();
      if (channel != (right == known.end() ? kNoChannel : right->second) ||
          (operand.place == Place::kPeer && right == known.end()))
        return wrong(fmt::format("step {}: {} is bound to the wrong channel", s, proof::name_of(operand)));
    }
  }
  for (std::uint32_t c = 0; c < plan.channels.size(); ++c)
    HANSA_RETURN_IF_ERROR(check_channel(plan, plan.channels[c], c));
  return {};
}

// Every (step, chunk) of every rank as an event, and what each waits for by plan.hpp's rules.
class Flow {
 public:
  Flow(const Whole& whole, std::span<const Plan> plans, const PlanLimits& limits)
      : whole_(whole),
        plans_(plans),
        limits_(limits),
        graph_((whole.rank_of.size() + plans.size()) * limits.chunks) {}

  Status run() {
    for (Node node = 0; node < whole_.rank_of.size(); ++node) add_step(node);
    for (std::size_t rank = 0; rank < plans_.size(); ++rank) {
      add_window(rank);
      for (const Channel& channel : plans_[rank].channels) HANSA_RETURN_IF_ERROR(add_channel(rank, channel));
    }
    if (graph_.sort()) return {};
    return wrong(fmt::format("with {} slots: {}", limits_.slots,
                             graph_.describe_cycle([&](Node event) { return name(event); })));
  }

 private:
  struct Message {
    Node node;
    std::uint32_t chunk, cells;
    Node consumer;
  };

  Node at(Node node, std::uint32_t chunk) const { return node * limits_.chunks + chunk; }
  // All of the rank's steps have run for the chunk.
  Node all_done(std::size_t rank, std::uint32_t chunk) const {
    return at(static_cast<Node>(whole_.rank_of.size() + rank), chunk);
  }
  std::string name(Node event) const {
    const Node node = event / limits_.chunks;
    const auto steps = static_cast<Node>(whole_.rank_of.size());
    return fmt::format("{} chunk {}",
                       node < steps ? whole_.name(node) : fmt::format("rank {}, all steps,", node - steps),
                       event % limits_.chunks);
  }

  void add_step(Node node) {
    const Step& step = whole_.step(node);
    const Node first = whole_.first_step[static_cast<std::size_t>(whole_.rank_of[node])];
    for (std::uint32_t c = 0; c < limits_.chunks; ++c) {
      if (c > 0) graph_.add(at(node, c - 1), at(node, c), Why::kChunkOrder);
      for (const std::uint32_t dep : whole_.schedule(node).dependencies(step))
        graph_.add(at(first + dep, c), at(node, c), Why::kDependency);
      for (std::uint32_t k = 0; k < step.sources; ++k)
        if (const auto sent = whole_.partner[whole_.first_operand_of(node) + k]; sent != kNone) {
          graph_.add(at(whole_.step_of[sent], c), at(node, c), Why::kMessage);
          if (whole_.moves(sent) != Mechanism::kPush) continue;
          if (c > 0) graph_.add(at(node, c - 1), at(whole_.step_of[sent], c), Why::kPosted);
          for (const std::uint32_t dep : whole_.schedule(node).dependencies(step))
            graph_.add(at(first + dep, c), at(whole_.step_of[sent], c), Why::kPosted);
        }
    }
  }

  // Scratch exists `window` times; where there is none, nothing holds the chunks together.
  void add_window(std::size_t rank) {
    const Plan& plan = plans_[rank];
    if (plan.schedule.scratch_blocks == 0) return;
    for (std::uint32_t c = plan.window; c < limits_.chunks; ++c)
      for (Node node = whole_.first_step[rank]; node < whole_.first_step[rank + 1]; ++node) {
        graph_.add(at(node, c - plan.window), all_done(rank, c - plan.window), Why::kWindow);
        graph_.add(all_done(rank, c - plan.window), at(node, c), Why::kWindow);
      }
  }

  std::vector<Message> messages(std::size_t rank, const Channel& channel) const {
    std::vector<Message> one_chunk;
    for (const std::uint32_t s : channel.steps) {
      const Node node = whole_.first_step[rank] + s;
      const Step& step = whole_.step(node);
      const std::uint32_t begin = channel.outgoing ? step.sources : 0,
                          end = channel.outgoing ? begin + step.destinations : step.sources;
      for (std::uint32_t k = begin; k < end; ++k) {
        const Operand& operand = whole_.schedule(node).operands[step.operands + k];
        if (operand.place != Place::kPeer || operand.peer != channel.peer || operand.lane != channel.lane)
          continue;
        const Node other = whole_.step_of[whole_.partner[whole_.first_operand_of(node) + k]];
        one_chunk.push_back({node, 0, cells(operand.blocks.size()), other});
      }
    }
    return in_order(one_chunk, plans_[rank].order);
  }

  // The most cells of slot_bytes that a message of so many blocks fills, by the rule of chunk_elements().
  std::uint32_t cells(std::uint32_t blocks) const {
    const std::uint64_t half = std::max<std::uint32_t>(limits_.slots / 2, 1);
    const std::uint32_t largest = plans_[0].schedule.largest_message;
    return static_cast<std::uint32_t>((blocks * half + largest - 1) / largest);
  }

  std::vector<Message> in_order(const std::vector<Message>& one_chunk, ChunkOrder order) const {
    std::vector<Message> all;
    const bool by_step = order == ChunkOrder::kStepMajor;
    const std::size_t steps = one_chunk.size(), chunks = limits_.chunks;
    for (std::size_t i = 0; i < steps * chunks; ++i) {
      Message message = one_chunk[by_step ? i / chunks : i % steps];
      message.chunk = static_cast<std::uint32_t>(by_step ? i % chunks : i / steps);
      all.push_back(message);
    }
    return all;
  }

  // The channel's messages one after the other; on its sending side, none before it has slots.
  Status add_channel(std::size_t rank, const Channel& channel) {
    const std::vector<Message> list = messages(rank, channel);
    std::uint64_t in_flight = 0;
    std::size_t oldest = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Message& message = list[i];
      if (i > 0)
        graph_.add(at(list[i - 1].node, list[i - 1].chunk), at(message.node, message.chunk),
                   channel.outgoing ? Why::kSendOrder : Why::kReceiveOrder);
      if (!channel.outgoing) continue;
      if (message.cells > limits_.slots)
        return wrong(fmt::format("{}: a message of {} cells in a channel of {} slots",
                                 whole_.name(message.node), message.cells, limits_.slots));
      for (in_flight += message.cells; in_flight > limits_.slots; ++oldest) {
        in_flight -= list[oldest].cells;
        graph_.add(at(list[oldest].consumer, list[oldest].chunk), at(message.node, message.chunk),
                   Why::kSlots);
      }
    }
    return {};
  }

  const Whole& whole_;
  std::span<const Plan> plans_;
  PlanLimits limits_;
  Graph graph_;
};

// What one end of a message that moves directly must be: an offer of one local block of the user's memory
// that nothing waits for, or an acceptance into one.
Status check_direct(const Whole& whole, std::uint32_t sent) {
  const auto local = [](const Operand& o) { return o.place == Place::kInput || o.place == Place::kOutput; };
  if (whole.moves(sent) == Mechanism::kPull) {
    const Node offer = whole.step_of[sent];
    const Schedule& schedule = whole.schedule(offer);
    if (whole.step(offer).sources != 1 || !local(whole.operands(offer)[0]))
      return wrong(fmt::format("{}: offers what is no block of the input or output", whole.name(offer)));
    const std::uint32_t index = offer - whole.first_step[static_cast<std::size_t>(whole.rank_of[offer])];
    for (const Step& step : schedule.steps) {
      const auto deps = schedule.dependencies(step);
      if (std::find(deps.begin(), deps.end(), index) != deps.end())
        return wrong(fmt::format("{}: offers memory, and a step depends on it", whole.name(offer)));
    }
  }
  if (whole.moves(sent) == Mechanism::kPush) {
    const Node accept = whole.step_of[whole.partner[sent]];
    const auto operands = whole.operands(accept);
    if (operands.size() != 2 || operands[1].place != Place::kOutput)
      return wrong(fmt::format("{}: accepts into what is no block of the output", whole.name(accept)));
  }
  return {};
}

// Both ends of a message move it the same way, and channels cut it in the same order.
Status check_agreement(Whole& whole, std::span<const Plan> plans) {
  for (const Plan& plan : plans) {
    if (plan.order != plans[0].order || plan.direct != plans[0].direct)
      return wrong(fmt::format("rank {} orders or moves chunks otherwise than rank 0", &plan - plans.data()));
    whole.mechanism.insert(whole.mechanism.end(), plan.mechanism_of.begin(), plan.mechanism_of.end());
  }
  for (std::uint32_t number = 0; number < whole.partner.size(); ++number) {
    if (whole.partner[number] == kNone) continue;
    const Node node = whole.step_of[number], other = whole.step_of[whole.partner[number]];
    if (whole.moves(number) != whole.moves(whole.partner[number]))
      return wrong(
          fmt::format("{} and {} move their message in different ways", whole.name(node), whole.name(other)));
    if ((whole.moves(number) != Mechanism::kStaged) != plans[0].direct)
      return wrong(fmt::format("{}: a plan is direct as a whole or not at all", whole.name(node)));
    const bool sends = number - whole.first_operand_of(node) >= whole.step(node).sources;
    if (sends) HANSA_RETURN_IF_ERROR(check_direct(whole, number));
  }
  return {};
}

}  // namespace
}  // namespace proof

Status check_plans(const Query& query, std::span<const Plan> by_rank, const PlanLimits& limits) {
  using namespace proof;
  if (limits.slots == 0 || limits.chunks == 0) return wrong("no slots or no chunks");
  std::vector<Schedule> schedules;
  for (const Plan& plan : by_rank) schedules.push_back(plan.schedule);
  Whole whole(query, schedules);
  HANSA_RETURN_IF_ERROR(check_structure(whole));
  for (const Plan& plan : by_rank)
    if (Status status = check_binding(plan); !status.ok())
      return status.within(fmt::format("rank {}", &plan - by_rank.data()));
  HANSA_RETURN_IF_ERROR(check_agreement(whole, by_rank));
  if (query.collective != Collective::kPointToPoint) HANSA_RETURN_IF_ERROR(check_meaning(whole, nullptr));
  return Flow(whole, by_rank, limits).run();
}

}  // namespace hansa
