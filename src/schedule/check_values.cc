// Values: the schedules are replayed on symbols. Races are excluded by then, so one order stands for all.
#include <fmt/format.h>

#include <algorithm>

#include "schedule/check_parts.hpp"

namespace hansa::proof {
namespace {

// What a block holds: a datum and, in a reduction, whose contributions to it. Values never change; cells
// and messages name them by number, so that a copy costs nothing.
class Values {
 public:
  static constexpr std::uint32_t kNothing = 0;

  explicit Values(Rank ranks) : words_((static_cast<std::size_t>(ranks) + 63) / 64), datum_(1), finished_(1) {
    bits_.resize(words_);
  }
  std::uint32_t add(std::uint32_t datum, Rank contributor) {
    const std::uint32_t value = append(datum);
    bits(value)[static_cast<std::size_t>(contributor) / 64] |= std::uint64_t{1} << (contributor % 64);
    return value;
  }
  std::uint32_t copy(std::uint32_t value) {
    const std::uint32_t fresh = append(datum_[value]);
    std::copy_n(bits(value), words_, bits(fresh));
    return fresh;
  }
  // Adds b's contributions to a; false if one would count twice.
  bool absorb(std::uint32_t a, std::uint32_t b) {
    for (std::size_t w = 0; w < words_; ++w) {
      if (bits(a)[w] & bits(b)[w]) return false;
      bits(a)[w] |= bits(b)[w];
    }
    return true;
  }
  std::uint32_t datum(std::uint32_t value) const { return datum_[value]; }
  bool finished(std::uint32_t value) const { return finished_[value]; }
  void finish(std::uint32_t value) { finished_[value] = true; }
  bool has(std::uint32_t value, Rank rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return bits_[value * words_ + r / 64] >> (r % 64) & 1;
  }
  // A rank whose contribution is missing, or -1.
  Rank missing(std::uint32_t value, Rank ranks) const {
    for (Rank rank = 0; rank < ranks; ++rank)
      if (!has(value, rank)) return rank;
    return -1;
  }

 private:
  std::uint32_t append(std::uint32_t datum) {
    datum_.push_back(datum);
    finished_.push_back(false);
    bits_.resize(bits_.size() + words_);
    return static_cast<std::uint32_t>(datum_.size() - 1);
  }
  std::uint64_t* bits(std::uint32_t value) { return bits_.data() + value * words_; }

  std::size_t words_;
  std::vector<std::uint32_t> datum_;
  std::vector<bool> finished_;
  std::vector<std::uint64_t> bits_;
};

class Replay {
 public:
  Replay(const Whole& whole, bool in_place)
      : whole_(whole), reduces_(hansa::reduces(whole.query.collective)), values_(whole.query.ranks) {
    for (Rank rank = 0; rank < whole.query.ranks; ++rank) {
      const Schedule& schedule = whole.by_rank[static_cast<std::size_t>(rank)];
      cells_.emplace_back(whole.query, rank, schedule, in_place);
      memory_.emplace_back(cells_.back().count(), Values::kNothing);
      const Held input = held(whole.query, Place::kInput, rank, schedule.blocks);
      for (std::uint32_t k = 0; k < input.count; ++k)
        memory_.back()[k] = values_.add(input.first + k * input.stride, rank);
    }
    arrived_.assign(whole.step_of.size(), 0);
    std::uint32_t total = 0;
    for (std::uint32_t number = 0; number < arrived_.size(); ++number) {
      arrived_[number] = total;
      if (whole.partner[number] != kNone) total += operand(number).blocks.size();
    }
    mail_.assign(total, Values::kNothing);
  }

  Status run(const Graph& graph) {
    for (const Node node : graph.order())
      if (Status status = step(node); !status.ok()) return status.within(whole_.name(node));
    for (Rank rank = 0; rank < whole_.query.ranks; ++rank)
      if (Status status = promised(rank); !status.ok())
        return status.within(fmt::format("rank {} at the end", rank));
    return {};
  }

 private:
  const Operand& operand(std::uint32_t number) const {
    const auto rank = static_cast<std::size_t>(whole_.rank_of[whole_.step_of[number]]);
    return whole_.by_rank[rank].operands[number - whole_.first_operand[rank]];
  }

  // Where the k-th block of an operand of `rank` is read or written. A message waits in its receiver's mail.
  std::uint32_t& at(Rank rank, const Operand& o, std::uint32_t number, std::uint32_t k, bool source) {
    if (o.place == Place::kPeer) return mail_[arrived_[source ? number : whole_.partner[number]] + k];
    const auto r = static_cast<std::size_t>(rank);
    return memory_[r][cells_[r].at(o, k)];
  }

  Status step(Node node) {
    const Step& s = whole_.step(node);
    const Schedule& schedule = whole_.schedule(node);
    const Rank rank = whole_.rank_of[node];
    const std::uint32_t first = whole_.first_operand_of(node);
    const auto operands = whole_.operands(node);
    const Blocks& carried = whole_.carried(node);
    for (std::uint32_t k = 0; k < carried.size(); ++k) {
      const std::uint32_t id = id_at(carried, k, schedule.blocks);
      std::uint32_t result = Values::kNothing;
      for (std::uint32_t i = 0; i < s.sources; ++i)
        HANSA_RETURN_IF_ERROR(
            take(at(rank, operands[i], first + i, k, true), operands[i], id, s.sources > 1, result));
      if (s.finish) HANSA_RETURN_IF_ERROR(finish(id, result));
      for (std::uint32_t i = s.sources; i < operands.size(); ++i)
        at(rank, operands[i], first + i, k, false) = result;
    }
    return {};
  }

  // Combines one source's block into the result.
  Status take(std::uint32_t value, const Operand& from, std::uint32_t id, bool combines,
              std::uint32_t& result) {
    if (value == Values::kNothing)
      return wrong(
          fmt::format("reads block {} from {}, where nothing was written", id, proof::name_of(from)));
    if (values_.datum(value) != id)
      return wrong(fmt::format("{} holds block {} where the step carries block {}", proof::name_of(from),
                               values_.datum(value), id));
    if (!combines) {
      result = value;
      return {};
    }
    if (!reduces_) return wrong("combines sources in a collective that does not reduce");
    if (values_.finished(value))
      return wrong(fmt::format("combines block {} from {}, which is finished", id, proof::name_of(from)));
    if (result == Values::kNothing) {
      result = values_.copy(value);
      return {};
    }
    if (!values_.absorb(result, value))
      return wrong(
          fmt::format("combines a contribution to block {} twice, with {}", id, proof::name_of(from)));
    return {};
  }

  Status finish(std::uint32_t id, std::uint32_t& result) {
    if (!reduces_) return wrong("finishes a block in a collective that does not reduce");
    if (values_.finished(result)) return wrong(fmt::format("finishes block {} again", id));
    if (const Rank rank = values_.missing(result, whole_.query.ranks); rank >= 0)
      return wrong(fmt::format("finishes block {} without rank {}'s contribution", id, rank));
    result = values_.copy(result);
    values_.finish(result);
    return {};
  }

  Status promised(Rank rank) {
    const auto r = static_cast<std::size_t>(rank);
    const Held output = held(whole_.query, Place::kOutput, rank, whole_.by_rank[r].blocks);
    for (std::uint32_t k = 0; k < output.count; ++k) {
      const std::uint32_t id = output.first + k * output.stride;
      const std::uint32_t value = memory_[r][cells_[r].at(hansa::output(block(id)), 0)];
      if (value == Values::kNothing) return wrong(fmt::format("output block {} was never written", id));
      if (values_.datum(value) != id)
        return wrong(fmt::format("output block {} holds block {}", id, values_.datum(value)));
      if (!reduces_) continue;
      if (const Rank who = values_.missing(value, whole_.query.ranks); who >= 0)
        return wrong(fmt::format("output block {} lacks rank {}'s contribution", id, who));
      if (!values_.finished(value)) return wrong(fmt::format("output block {} was never finished", id));
    }
    return {};
  }

  const Whole& whole_;
  bool reduces_;
  Values values_;
  std::vector<Cells> cells_;                        // by rank
  std::vector<std::vector<std::uint32_t>> memory_;  // values, by rank and cell
  std::vector<std::uint32_t> arrived_;              // by receiving operand: its first block in mail_
  std::vector<std::uint32_t> mail_;
};

}  // namespace

Status check_values(const Whole& whole, const Graph& graph, bool in_place) {
  return Replay(whole, in_place).run(graph).within(in_place ? "in place" : "with separate buffers");
}

}  // namespace hansa::proof
