// Circulant graphs (Traeff, 2024): reduce-scatter and allgather of any number of ranks p in ceil(log2 p)
// messages and p-1 blocks a rank, without folding. The skips are p halved and rounded up, down to 1. In the
// round of neighbouring skips A > B a reduce-scatter sends the partial sums of blocks self+B .. self+A-1 to
// self+B and adds those that come from self-B to its own of self .. self+A-B-1. Allgather is its reverse.
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

struct Round {
  Rank skip;            // B
  std::uint32_t count;  // A - B blocks travel
};

// From the largest skip to 1.
std::vector<Round> rounds_of(Rank ranks) {
  std::vector<Round> rounds;
  for (Rank before = ranks; before > 1; before = rounds.back().skip) {
    const Rank skip = before - before / 2;
    rounds.push_back({skip, id_of(before - skip)});
  }
  return rounds;
}

struct Circulant {
  Rank ranks, self;
  Rank at(Rank offset) const { return wrap(self + offset, ranks); }
  Rank before(Rank offset) const { return wrap(self - offset, ranks); }
  Blocks blocks(Rank offset, std::uint32_t count) const { return run(id_of(at(offset)), count); }
};

// Ends with the sum of block self in `results`. Partial sums of blocks self+i, self+i+1, ... live in
// partials(i, count).
template <class Partials>
void scatter_sums(Builder& builder, const Circulant& circulant, Partials partials,
                  std::span<const Operand> results) {
  const std::vector<Round> rounds = rounds_of(circulant.ranks);
  for (const Round& round : rounds) {
    const bool first = round.skip == rounds.front().skip, last = round.skip == 1;
    const Blocks going = circulant.blocks(round.skip, round.count);
    const Blocks coming = circulant.blocks(0, round.count);
    builder.combine({first ? input(going) : partials(round.skip, round.count)},
                    {peer(circulant.at(round.skip), going)});
    // With an odd number of ranks the first round leaves out the block in the middle, which the second sends.
    if (first && !last && id_of(round.skip) > round.count)
      builder.combine({input(circulant.blocks(round.skip - 1, 1))}, {partials(round.skip - 1, 1)});
    const Operand sum[] = {partials(0, round.count)};
    const Operand sources[] = {first ? input(coming) : sum[0], peer(circulant.before(round.skip), coming)};
    builder.combine(sources, last ? results : sum);
    if (last) builder.finish();
  }
}

// Where the result of block self goes before gather_results() moves it on.
std::vector<Operand> starts_of(const Circulant& circulant) {
  const Blocks own = circulant.blocks(0, 1);
  return {output(own), peer(circulant.before(1), own)};
}

void gather_results(Builder& builder, const Circulant& circulant) {
  const std::vector<Round> rounds = rounds_of(circulant.ranks);
  for (auto round = rounds.rbegin(); round != rounds.rend(); ++round) {
    const Blocks going = circulant.blocks(0, round->count);
    const Blocks coming = circulant.blocks(round->skip, round->count);
    if (round != rounds.rbegin())
      builder.combine({output(going)}, {peer(circulant.before(round->skip), going)});
    builder.combine({peer(circulant.at(round->skip), coming)}, {output(coming)});
  }
}

Schedule all_reduce(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, true);
  const Circulant circulant{query.ranks, self};
  const auto partials = [&](Rank offset, std::uint32_t count) {
    return output(circulant.blocks(offset, count));
  };
  Builder builder(query.ranks, id_of(query.ranks));
  builder.limit_messages(id_of(query.ranks) / 2);
  scatter_sums(builder, circulant, partials, starts_of(circulant));
  gather_results(builder, circulant);
  return std::move(builder).build();
}

Schedule reduce_scatter(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, true);
  const auto partials = [](Rank offset, std::uint32_t count) { return scratch(run(id_of(offset), count)); };
  const Operand result[] = {output(block(id_of(self)))};
  const std::uint32_t slots = query.ranks > 2 ? id_of(query.ranks - query.ranks / 2) : 0;
  Builder builder(query.ranks, id_of(query.ranks), slots);
  builder.limit_messages(id_of(query.ranks) / 2);
  scatter_sums(builder, Circulant{query.ranks, self}, partials, result);
  return std::move(builder).build();
}

Schedule all_gather(const Query& query, Rank self) {
  if (query.ranks == 1) return alone(1, false);
  const Circulant circulant{query.ranks, self};
  const Operand own[] = {input(block(id_of(self)))};
  Builder builder(query.ranks, id_of(query.ranks));
  builder.limit_messages(id_of(query.ranks) / 2);
  builder.combine(own, starts_of(circulant));
  gather_results(builder, circulant);
  return std::move(builder).build();
}

constexpr std::uint32_t halved(Rank ranks, std::uint32_t times) {
  return static_cast<std::uint32_t>((std::uint64_t{id_of(ranks)} + (1ull << times) - 1) >> times);
}

// Of one half; `distance` is that of the reduce-scatter's messages.
std::uint64_t blocks_over(const Query& query, Rank distance) {
  for (std::uint32_t times = 1; distance > 0 && halved(query.ranks, times - 1) > 1; ++times)
    if (halved(query.ranks, times) == id_of(distance))
      return halved(query.ranks, times - 1) - id_of(distance);
  return 0;
}
std::uint64_t blocks_scattered(const Query& query, Rank from, Rank to) {
  return blocks_over(query, wrap(to - from, query.ranks));
}
std::uint64_t blocks_gathered(const Query& query, Rank from, Rank to) {
  return blocks_over(query, wrap(from - to, query.ranks));
}
std::uint64_t blocks_both(const Query& query, Rank from, Rank to) {
  return blocks_scattered(query, from, to) + blocks_gathered(query, from, to);
}

// One message a round. Of the last skips 3, 2, 1, where the halving passes 3, the rounds to 2 and to 1 touch
// different blocks, so that neither waits for the other.
std::uint32_t rounds(const Query& query) {
  std::uint32_t messages = 0;
  bool passes_three = false;
  for (; halved(query.ranks, messages) > 1; ++messages)
    passes_three = passes_three || halved(query.ranks, messages) == 3;
  return messages - passes_three;
}
std::uint32_t rounds_both(const Query& query) { return 2 * rounds(query); }

constexpr Algorithm kRows[] = {
    {"circulant", Collective::kAllReduce, false, is_valid, all_reduce, blocks_both, rounds_both},
    {"circulant", Collective::kAllGather, true, is_valid, all_gather, blocks_gathered, rounds},
    {"circulant", Collective::kReduceScatter, true, is_valid, reduce_scatter, blocks_scattered, rounds},
};

}  // namespace

std::span<const Algorithm> circulant() { return kRows; }

}  // namespace hansa::algorithms
