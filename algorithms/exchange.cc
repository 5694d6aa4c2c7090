// Recursive doubling, and with radix k recursive multiplying (Ruefenacht, Bull and Booth, 2017): in phase i
// the k ranks that differ in digit i of their number exchange whole vectors. The fewest rounds there are.
//
// Where the ranks are no power of the radix, some FOLD first: they add their input to a SURVIVOR's and get
// the result from it at the end. Survivors have virtual numbers 0..k^phases-1. All ranks that end a phase
// with one value took the same sources in the same order, lower numbers first, so results are equal bit for
// bit.
#include <algorithm>
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

class Exchange {
 public:
  Exchange(Rank ranks, std::uint32_t radix) : radix_(std::min(static_cast<Rank>(radix), ranks)) {
    while (survivors_ <= ranks / radix_) survivors_ *= radix_, ++phases_;
    extra_ = ranks - survivors_;
    folding_ = static_cast<Rank>(std::int64_t{extra_} * radix_ / (radix_ - 1));
  }

  std::uint32_t phases() const { return phases_; }
  Rank radix() const { return radix_; }
  Rank survivors() const { return survivors_; }
  Rank extra() const { return extra_; }

  // Ranks below folding_ form teams of `radix` (the last may be cut short): the last of a team survives, or
  // the first rank after all teams.
  bool folds(Rank rank) const { return rank < folding_ && rank % radix_ != radix_ - 1; }
  Rank survivor_of(Rank rank) const { return std::min(rank - rank % radix_ + radix_ - 1, folding_); }
  std::vector<Rank> folded_into(Rank survivor) const {
    std::vector<Rank> list;
    const Rank team = survivor < folding_ ? radix_ - 1 : survivor == folding_ ? folding_ % radix_ : 0;
    for (Rank rank = survivor - team; rank < survivor; ++rank) list.push_back(rank);
    return list;
  }
  Rank number_of(Rank survivor) const { return survivor < folding_ ? survivor / radix_ : survivor - extra_; }
  Rank survivor_at(Rank number) const {
    return number < extra_ / (radix_ - 1) ? number * radix_ + radix_ - 1 : number + extra_;
  }

 private:
  Rank radix_, survivors_ = 1, extra_ = 0, folding_ = 0;
  std::uint32_t phases_ = 0;
};

void append_peers(std::vector<Operand>& operands, std::span<const Rank> ranks) {
  for (const Rank rank : ranks) operands.push_back(peer(rank, block(0)));
}

// Each step combines what one phase brings and sends the result into the next.
void survive(Builder& builder, const Exchange& exchange, Rank self) {
  const std::vector<Rank> folded = exchange.folded_into(self);
  std::vector<Operand> sources, destinations;
  append_peers(sources, folded);
  sources.push_back(input(block(0)));
  Operand partial = folded.empty() ? input(block(0)) : output(block(0));
  Rank weight = 1;
  for (std::uint32_t phase = 0; phase < exchange.phases(); ++phase, weight *= exchange.radix()) {
    const Rank number = exchange.number_of(self);
    const Rank first = number - number / weight % exchange.radix() * weight;
    std::vector<Operand> group;
    destinations.clear();
    if (partial.place == Place::kOutput) destinations.push_back(partial);
    for (Rank digit = 0; digit < exchange.radix(); ++digit) {
      const Rank rank = exchange.survivor_at(first + digit * weight);
      group.push_back(rank == self ? partial : peer(rank, block(0)));
      if (rank != self) destinations.push_back(peer(rank, block(0)));
    }
    builder.combine(sources, destinations);
    sources = std::move(group);
    partial = output(block(0));
  }
  destinations = {output(block(0))};
  append_peers(destinations, folded);
  builder.combine(sources, destinations);
  builder.finish();
}

Schedule all_reduce(const Query& query, Rank self, std::uint32_t radix) {
  if (query.ranks == 1) return alone(1, true);
  const Exchange exchange(query.ranks, radix);
  Builder builder(query.ranks, 1);
  if (exchange.folds(self)) {
    const Rank survivor = exchange.survivor_of(self);
    builder.combine({input(block(0))}, {peer(survivor, block(0))});
    builder.combine({peer(survivor, block(0))}, {output(block(0))});
  } else {
    survive(builder, exchange, self);
  }
  return std::move(builder).build();
}

std::uint64_t blocks_sent(const Query& query, Rank from, Rank to, std::uint32_t radix) {
  if (from == to) return 0;
  const Exchange exchange(query.ranks, radix);
  if (exchange.folds(from)) return to == exchange.survivor_of(from);
  if (exchange.folds(to)) return from == exchange.survivor_of(to);
  Rank a = exchange.number_of(from), b = exchange.number_of(to);
  int different = 0;
  for (; a != b; a /= exchange.radix(), b /= exchange.radix())
    different += a % exchange.radix() != b % exchange.radix();
  return different == 1;
}

// The longest chain starts with a rank that folds and ends with another that gets its result back, if their
// survivors meet in the last phase only. Those that others fold into have the lowest numbers.
std::uint32_t rounds(const Query& query, std::uint32_t radix) {
  if (query.ranks == 1) return 0;
  const Exchange exchange(query.ranks, radix);
  const Rank k = exchange.radix(), teams = (exchange.extra() + k - 2) / (k - 1);
  if (teams == 0) return exchange.phases();
  return exchange.phases() + (teams > exchange.survivors() / k ? 2 : 1);
}

constexpr Algorithm kRows[] = {
    {"recursive_doubling", Collective::kAllReduce, false, is_valid,
     [](const Query& query, Rank self) { return all_reduce(query, self, 2); },
     [](const Query& query, Rank from, Rank to) { return blocks_sent(query, from, to, 2); },
     [](const Query& query) { return rounds(query, 2); }},
    {"recursive_multiplying", Collective::kAllReduce, false, is_valid_tree,
     [](const Query& query, Rank self) { return all_reduce(query, self, query.radix); },
     [](const Query& query, Rank from, Rank to) { return blocks_sent(query, from, to, query.radix); },
     [](const Query& query) { return rounds(query, query.radix); }},
};

}  // namespace

std::span<const Algorithm> exchange() { return kRows; }

}  // namespace hansa::algorithms
