// Lowering where memory can be reached: which end of each message reads or writes the other's memory.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "hansa/plan.hpp"

namespace hansa {
namespace {

struct End {
  Rank rank;
  std::uint32_t step, operand;
};

struct Message {
  End from, to;
};

// One run of ids that does not wrap is one run of bytes, in every even layout.
bool contiguous(const Blocks& blocks, std::uint32_t modulus) {
  return blocks.repeats == 1 && blocks.first % modulus + blocks.count <= modulus;
}

bool in_user_memory(const Operand& operand) {
  return operand.place == Place::kInput || operand.place == Place::kOutput;
}

class DirectLowering {
 public:
  explicit DirectLowering(std::span<const Schedule> by_rank) {
    for (const Schedule& schedule : by_rank) schedules_.push_back(expand(schedule));
  }

  std::optional<Plan> run(Rank self) {
    if (schedules_.front().lanes > kReturnLanes || !match()) return {};
    Plan plan = lower(schedules_[static_cast<std::size_t>(self)]);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> dropped;  // (step, dependency) of this rank
    for (const Message& message : messages_) {
      const auto mechanism = mechanism_of(message);
      if (!mechanism) return {};
      plan.folds = plan.folds || (*mechanism == Mechanism::kPull && step(message.to).sources > 1);
      if (message.from.rank == self) plan.mechanism_of[message.from.operand] = *mechanism;
      if (message.to.rank == self) plan.mechanism_of[message.to.operand] = *mechanism;
      if (message.from.rank == self && *mechanism == Mechanism::kPull)
        for (const std::uint32_t dependent : dependents(message.from))
          dropped.emplace_back(dependent, message.from.step);
    }
    drop(plan.schedule, dropped);
    plan.direct = true;
    plan.most_senders = most_senders();
    plan.window = 1;
    return plan;
  }

 private:
  const Schedule& at(Rank rank) const { return schedules_[static_cast<std::size_t>(rank)]; }
  const Step& step(const End& end) const { return at(end.rank).steps[end.step]; }
  const Operand& operand(const End& end) const { return at(end.rank).operands[end.operand]; }

  std::uint32_t most_senders() const {
    std::vector<std::set<std::uint32_t>> steps(schedules_.size());
    for (const Message& message : messages_)
      steps[static_cast<std::size_t>(message.from.rank)].insert(message.from.step);
    std::size_t most = 0;
    for (const auto& of_rank : steps) most = std::max(most, of_rank.size());
    return static_cast<std::uint32_t>(most);
  }

  // Pairs the k-th message sent with the k-th received, by lane.
  bool match() {
    std::map<std::tuple<Rank, Rank, std::uint16_t>, std::pair<std::vector<End>, std::vector<End>>> ends;
    for (Rank rank = 0; rank < static_cast<Rank>(schedules_.size()); ++rank) {
      const Schedule& schedule = at(rank);
      for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
        const Step& step = schedule.steps[s];
        for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
          const Operand& o = schedule.operands[step.operands + k];
          if (o.place != Place::kPeer) continue;
          const bool outgoing = k >= step.sources;
          auto& pair = ends[outgoing ? std::tuple(rank, o.peer, o.lane) : std::tuple(o.peer, rank, o.lane)];
          (outgoing ? pair.first : pair.second).push_back({rank, s, step.operands + k});
        }
      }
    }
    for (const auto& [key, pair] : ends) {
      if (pair.first.size() != pair.second.size()) return false;
      for (std::size_t i = 0; i < pair.first.size(); ++i) {
        messages_.push_back({pair.first[i], pair.second[i]});
        sender_of_[{pair.second[i].rank, pair.second[i].operand}] = pair.first[i];
      }
    }
    return true;
  }

  std::optional<Mechanism> mechanism_of(const Message& message) const {
    if (!contiguous(operand(message.from).blocks, at(message.from.rank).blocks)) return {};
    const bool pull = only_offers(message), push = only_accepts(message);
    if (pull && (!push || operand(message.from).lane % 2 == 0)) return Mechanism::kPull;
    if (push) return Mechanism::kPush;
    return {};
  }

  bool only_offers(const Message& message) const {
    const Step& offer = step(message.from);
    if (offer.sources != 1 || !in_user_memory(at(message.from.rank).sources(offer)[0])) return false;
    const std::vector<std::uint32_t> waiting = dependents(message.from);
    return std::all_of(waiting.begin(), waiting.end(),
                       [&](std::uint32_t s) { return accepts_from(message, s); });
  }

  bool only_accepts(const Message& message) const {
    const Step& accept = step(message.to);
    return accept.sources == 1 && accept.destinations == 1 &&
           at(message.to.rank).destinations(accept)[0].place == Place::kOutput;
  }

  std::vector<std::uint32_t> dependents(const End& offer) const {
    std::vector<std::uint32_t> list;
    const Schedule& schedule = at(offer.rank);
    for (std::uint32_t s = offer.step + 1; s < schedule.steps.size(); ++s) {
      const auto deps = schedule.dependencies(schedule.steps[s]);
      if (std::find(deps.begin(), deps.end(), offer.step) != deps.end()) list.push_back(s);
    }
    return list;
  }

  // Whether step s of the offering rank accepts the same blocks back from the very step that reads the offer.
  bool accepts_from(const Message& offer, std::uint32_t s) const {
    const Schedule& schedule = at(offer.from.rank);
    const Step& accept = schedule.steps[s];
    if (step(offer.from).destinations != 1 || accept.sources != 1 || accept.destinations != 1) return false;
    const Operand& source = schedule.sources(accept)[0];
    if (source.place != Place::kPeer || !(source.blocks == operand(offer.from).blocks)) return false;
    const auto sender = sender_of_.find({offer.from.rank, accept.operands});
    return sender != sender_of_.end() && sender->second.rank == offer.to.rank &&
           sender->second.step == offer.to.step;
  }

  static void drop(Schedule& schedule, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& dropped) {
    std::vector<std::uint32_t> kept;
    for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
      Step& step = schedule.steps[s];
      const auto begin = static_cast<std::uint32_t>(kept.size());
      for (const std::uint32_t dep : schedule.dependencies(step))
        if (std::find(dropped.begin(), dropped.end(), std::pair(s, dep)) == dropped.end())
          kept.push_back(dep);
      step.deps = begin;
      step.dep_count = static_cast<std::uint16_t>(kept.size() - begin);
    }
    schedule.deps = std::move(kept);
  }

  std::vector<Schedule> schedules_;
  std::vector<Message> messages_;
  std::map<std::pair<Rank, std::uint32_t>, End> sender_of_;  // by receiving rank and operand
};

}  // namespace

std::optional<Plan> lower_direct(std::span<const Schedule> by_rank, Rank self) {
  return DirectLowering(by_rank).run(self);
}

}  // namespace hansa
