// What can be said of one rank's schedule alone.
#include <fmt/format.h>

#include <algorithm>

#include "schedule/check_parts.hpp"

namespace hansa::proof {

Collective plain(Collective collective) {
  switch (collective) {
    case Collective::kBarrier:
      return Collective::kAllReduce;
    case Collective::kAllGatherV:
      return Collective::kAllGather;
    case Collective::kReduceScatterV:
      return Collective::kReduceScatter;
    case Collective::kAllToAllV:
      return Collective::kAllToAll;
    default:
      return collective;
  }
}

Held held(const Query& query, Place place, Rank rank, std::uint32_t blocks) {
  const auto self = static_cast<std::uint32_t>(rank), n = static_cast<std::uint32_t>(query.ranks);
  const bool in = place == Place::kInput, root = rank == query.root;
  const Held all{0, 1, blocks}, own{self, 1, 1}, none{};
  switch (plain(query.collective)) {
    case Collective::kAllReduce:
      return all;
    case Collective::kBroadcast:
      return !in || root ? all : none;
    case Collective::kReduce:
      return in || root ? all : none;
    case Collective::kAllGather:
      return in ? own : all;
    case Collective::kGather:
      return in ? own : root ? all : none;
    case Collective::kReduceScatter:
      return in ? all : own;
    case Collective::kScatter:
      return !in ? own : root ? all : none;
    case Collective::kAllToAll:
      return in ? Held{self * n, 1, n} : Held{self, n, n};
    default:
      return all;
  }
}

std::string name_of(const Operand& operand) {
  switch (operand.place) {
    case Place::kInput:
      return "input";
    case Place::kOutput:
      return "output";
    case Place::kScratch:
      return "scratch";
    case Place::kPeer:
      break;
  }
  return operand.lane == 0 ? fmt::format("peer {}", operand.peer)
                           : fmt::format("peer {} lane {}", operand.peer, operand.lane);
}

Status wrong(std::string message) { return {Code::kInternal, std::move(message)}; }

namespace {

// How many blocks a schedule of the collective must have; 0: as it likes.
std::uint64_t blocks_of(const Query& query) {
  const auto n = static_cast<std::uint64_t>(query.ranks);
  switch (plain(query.collective)) {
    case Collective::kAllGather:
    case Collective::kGather:
    case Collective::kReduceScatter:
    case Collective::kScatter:
      return n;
    case Collective::kAllToAll:
      return n * n;
    default:
      return 0;
  }
}

Status check_operand(const Query& query, const Schedule& schedule, const Operand& operand) {
  const Blocks& b = operand.blocks;
  const bool scratch = operand.place == Place::kScratch;
  const std::uint32_t modulus = scratch ? schedule.scratch_blocks : schedule.blocks;
  const std::uint64_t size = std::uint64_t{b.count} * b.repeats;
  if (size == 0) return wrong(fmt::format("{} carries no block", name_of(operand)));
  if (size > modulus)
    return wrong(fmt::format("{} carries {} blocks of {}", name_of(operand), size, modulus));
  if (std::uint64_t{modulus} + std::uint64_t{b.repeats} * b.stride + b.count >= kNone)
    return wrong(fmt::format("{}'s block ids leave 32 bits", name_of(operand)));
  if (b.first >= modulus)
    return wrong(fmt::format("{} begins at block {} of {}", name_of(operand), b.first, modulus));
  if (operand.place != Place::kPeer) return {};
  if (operand.peer < 0 || operand.peer >= query.ranks)
    return wrong(fmt::format("peer {} is none of {} ranks", operand.peer, query.ranks));
  if (size > schedule.largest_message)
    return wrong(fmt::format("a message of {} blocks, the largest is said to have {}", size,
                             schedule.largest_message));
  if (operand.lane >= schedule.lanes)
    return wrong(fmt::format("lane {} of {}", operand.lane, schedule.lanes));
  return {};
}

Status check_repeats(const Schedule& schedule) {
  std::uint64_t free = 0;
  for (const Repeat& repeat : schedule.repeats) {
    if (repeat.first_step < free) return wrong("repeats overlap or are out of order");
    if (repeat.steps == 0 || repeat.times == 0) return wrong("a repeat of nothing");
    free = std::uint64_t{repeat.first_step} + repeat.steps;
    if (free > schedule.steps.size()) return wrong("a repeat of steps that do not exist");
  }
  return {};
}

const Repeat* repeat_around(const Schedule& schedule, std::uint32_t step) {
  for (const Repeat& repeat : schedule.repeats)
    if (step >= repeat.first_step && step - repeat.first_step < repeat.steps) return &repeat;
  return nullptr;
}

Status check_dependencies(const Schedule& schedule, std::uint32_t index) {
  const Step& step = schedule.steps[index];
  if (std::uint64_t{step.deps} + step.dep_count > schedule.deps.size())
    return wrong("its dependencies are out of range");
  for (const std::uint32_t dep : schedule.dependencies(step)) {
    if (dep >= schedule.steps.size()) return wrong(fmt::format("depends on step {}, which is none", dep));
    const Repeat* around = repeat_around(schedule, index);
    if (dep >= index && (around == nullptr || repeat_around(schedule, dep) != around))
      return wrong(fmt::format("depends on step {}, which does not come before it", dep));
  }
  return {};
}

}  // namespace

Status check_form(const Query& query, Rank self, const Schedule& schedule) {
  const auto here = [&](const Status& status) { return status.within(fmt::format("rank {}", self)); };
  if (schedule.ranks != query.ranks)
    return here(wrong(fmt::format("is made for {} ranks, not {}", schedule.ranks, query.ranks)));
  if (schedule.blocks == 0) return here(wrong("has no blocks"));
  if (const auto blocks = blocks_of(query); blocks != 0 && schedule.blocks != blocks)
    return here(wrong(fmt::format("has {} blocks, the collective has {}", schedule.blocks, blocks)));
  if (Status status = check_repeats(schedule); !status.ok()) return here(status);
  for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
    const auto at_step = [&](const Status& status) { return here(status.within(fmt::format("step {}", s))); };
    const Step& step = schedule.steps[s];
    const std::uint32_t operands = std::uint32_t{step.sources} + step.destinations;
    if (step.sources == 0) return at_step(wrong("has no source"));
    if (step.destinations == 0) return at_step(wrong("has no destination"));
    if (std::uint64_t{step.operands} + operands > schedule.operands.size())
      return at_step(wrong("its operands are out of range"));
    if (Status status = check_dependencies(schedule, s); !status.ok()) return at_step(status);
    for (std::uint32_t k = 0; k < operands; ++k)
      if (Status status = check_operand(query, schedule, schedule.operands[step.operands + k]); !status.ok())
        return at_step(status);
  }
  return {};
}

Cells::Cells(const Query& query, Rank rank, const Schedule& schedule, bool in_place)
    : input_(held(query, Place::kInput, rank, schedule.blocks)),
      output_(held(query, Place::kOutput, rank, schedule.blocks)),
      blocks_(schedule.blocks),
      scratch_(schedule.scratch_blocks),
      count_(input_.count + output_.count + scratch_),
      in_place_(in_place) {}

std::uint32_t Cells::at(const Operand& operand, std::uint32_t k) const {
  if (operand.place == Place::kScratch)
    return input_.count + output_.count + id_at(operand.blocks, k, scratch_);
  const std::uint32_t id = id_at(operand.blocks, k, blocks_);
  const std::uint32_t in = input_.index(id);
  if (operand.place == Place::kInput || (in_place_ && in != kNone)) return in;
  return input_.count + output_.index(id);
}

namespace {

// One step of an expanded schedule.
class StepCheck {
 public:
  StepCheck(const Whole& whole, Rank self, const Schedule& schedule)
      : schedule_(schedule),
        cells_(whole.query, self, schedule, true),
        input_(held(whole.query, Place::kInput, self, schedule.blocks)),
        output_(held(whole.query, Place::kOutput, self, schedule.blocks)),
        seen_(std::max(cells_.count(), schedule.blocks), 0),
        touched_(cells_.count(), 0),
        position_(cells_.count(), 0) {}

  Status run(const Step& step) {
    const auto sources = schedule_.sources(step), destinations = schedule_.destinations(step);
    const auto is = [](Place place) { return [place](const Operand& o) { return o.place == place; }; };
    if (std::count_if(sources.begin(), sources.end(), is(Place::kInput)) > 1)
      return wrong("has the input as a source more than once");
    if (std::any_of(destinations.begin(), destinations.end(), is(Place::kInput)))
      return wrong("writes the input");
    const std::span all(sources.data(), sources.size() + destinations.size());
    const auto lead =
        std::find_if(all.begin(), all.end(), [](const Operand& o) { return o.place != Place::kScratch; });
    if (lead == all.end()) return wrong("has only scratch operands, so no length");
    for (const Operand& operand : all) {
      HANSA_RETURN_IF_ERROR(same_blocks(*lead, operand));
      HANSA_RETURN_IF_ERROR(present(operand));
    }
    HANSA_RETURN_IF_ERROR(channels_once(sources, "from"));
    HANSA_RETURN_IF_ERROR(channels_once(destinations, "to"));
    return overlaps(sources, destinations);
  }

 private:
  // A step stands next on all its channels at once, so it cannot hold two places in one of them.
  static Status channels_once(std::span<const Operand> operands, const char* direction) {
    for (std::size_t i = 0; i < operands.size(); ++i)
      for (std::size_t j = 0; j < i && operands[i].place == Place::kPeer; ++j)
        if (operands[j].place == Place::kPeer && operands[i].peer == operands[j].peer &&
            operands[i].lane == operands[j].lane)
          return wrong(fmt::format("uses the channel {} {} twice", direction, proof::name_of(operands[i])));
    return {};
  }

  Status same_blocks(const Operand& lead, const Operand& operand) {
    if (operand.blocks.size() != lead.blocks.size())
      return wrong(fmt::format("{} carries {} blocks, {} carries {}", proof::name_of(lead),
                               lead.blocks.size(), proof::name_of(operand), operand.blocks.size()));
    if (operand.place == Place::kScratch || operand.blocks == lead.blocks) return {};
    for (std::uint32_t k = 0; k < lead.blocks.size(); ++k) {
      const std::uint32_t a = id_at(lead.blocks, k, schedule_.blocks),
                          b = id_at(operand.blocks, k, schedule_.blocks);
      if (a != b)
        return wrong(fmt::format("{} carries block {} where {} carries block {}", proof::name_of(lead), a,
                                 proof::name_of(operand), b));
    }
    return {};
  }

  // Local blocks exist on this rank, and no operand names one twice.
  Status present(const Operand& operand) {
    const bool scratch = operand.place == Place::kScratch;
    const std::uint32_t modulus = scratch ? schedule_.scratch_blocks : schedule_.blocks;
    ++round_;
    for (std::uint32_t k = 0; k < operand.blocks.size(); ++k) {
      const std::uint32_t id = id_at(operand.blocks, k, modulus);
      if (seen_[id] == round_)
        return wrong(fmt::format("{} names block {} twice", proof::name_of(operand), id));
      seen_[id] = round_;
      if (operand.place == Place::kInput && input_.index(id) == kNone)
        return wrong(fmt::format("touches input block {}, which this rank does not have", id));
      if (operand.place == Place::kOutput && output_.index(id) == kNone)
        return wrong(fmt::format("touches output block {}, which this rank does not have", id));
    }
    return {};
  }

  // A block that is written is written once, and read, if at all, at the same place of the operands' lists.
  Status overlaps(std::span<const Operand> sources, std::span<const Operand> destinations) {
    ++round_;
    const std::uint32_t written = round_;
    for (const Operand& operand : destinations) {
      if (operand.place == Place::kPeer) continue;
      for (std::uint32_t k = 0; k < operand.blocks.size(); ++k) {
        const std::uint32_t cell = cells_.at(operand, k);
        if (touched_[cell] == written)
          return wrong(fmt::format("writes {} block {} twice", proof::name_of(operand), id_of(operand, k)));
        touched_[cell] = written;
        position_[cell] = k;
      }
    }
    for (const Operand& operand : sources) {
      if (operand.place == Place::kPeer) continue;
      for (std::uint32_t k = 0; k < operand.blocks.size(); ++k) {
        const std::uint32_t cell = cells_.at(operand, k);
        if (touched_[cell] == written && position_[cell] != k)
          return wrong(fmt::format("reads {} block {} and writes it with another block",
                                   proof::name_of(operand), id_of(operand, k)));
      }
    }
    return {};
  }

  std::uint32_t id_of(const Operand& operand, std::uint32_t k) const {
    return id_at(operand.blocks, k,
                 operand.place == Place::kScratch ? schedule_.scratch_blocks : schedule_.blocks);
  }

  const Schedule& schedule_;
  Cells cells_;
  Held input_, output_;
  std::uint32_t round_ = 0;
  std::vector<std::uint32_t> seen_, touched_, position_;
};

}  // namespace

Status check_steps(const Whole& whole, Rank self) {
  const Schedule& schedule = whole.by_rank[static_cast<std::size_t>(self)];
  StepCheck check(whole, self, schedule);
  for (std::uint32_t s = 0; s < schedule.steps.size(); ++s)
    if (Status status = check.run(schedule.steps[s]); !status.ok())
      return status.within(whole.name(whole.first_step[static_cast<std::size_t>(self)] + s));
  return {};
}

}  // namespace hansa::proof
