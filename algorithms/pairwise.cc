// Alltoall one peer at a time: in round i a rank sends to self+i and receives from self-i, and does not send
// before the rounds before are through in both directions. Keeps many ranks from flooding one.
#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

Schedule all_to_all(const Query& query, Rank self) {
  const Rank ranks = query.ranks;
  const auto from_to = [&](Rank from, Rank to) { return block(id_of(from) * id_of(ranks) + id_of(to)); };
  Builder builder(ranks, id_of(ranks) * id_of(ranks));
  builder.combine({input(from_to(self, self))}, {output(from_to(self, self))});
  std::uint32_t sent = 0, received = 0;
  for (Rank i = 1; i < ranks; ++i) {
    const Rank to = wrap(self + i, ranks), from = wrap(self - i, ranks);
    const std::uint32_t send = builder.combine({input(from_to(self, to))}, {peer(to, from_to(self, to))});
    if (i > 1) builder.after(sent).after(received);
    sent = send;
    received = builder.combine({peer(from, from_to(from, self))}, {output(from_to(from, self))});
  }
  return std::move(builder).build();
}

constexpr Algorithm kRows[] = {
    {"pairwise", Collective::kAllToAll, true, is_valid_direct, all_to_all,
     [](const Query&, Rank from, Rank to) -> std::uint64_t { return from != to; },
     [](const Query& query) { return id_of(query.ranks) - 1; }},
};

}  // namespace

std::span<const Algorithm> pairwise() { return kRows; }

}  // namespace hansa::algorithms
