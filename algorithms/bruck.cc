// Bruck's alltoall with radix k (Bruck, Ho, Kipnis, Upfal and Weathersby, 1997): few messages of many blocks,
// for small blocks. Take i, how many ranks further a block has to go, digit by digit in base k, from the
// highest: blocks with digit d at `place` move d*place ranks on.
//
// Going from the highest digit keeps the ids of a message in order. With outer = k*place, what a rank still
// has to send are ROWS: row q holds what came from rank self - q*outer, in columns 0 .. outer-1: column c is
// for rank self + c. The blocks with digit d are columns d*place .. (d+1)*place-1 of every row, so a message
// is one operand, or a few: cut where destinations pass the last rank, and where the last row is short.
//
// In scratch, row q stands at q*k*outer. The part of it that arrives with digit d is row q*k+d of the next
// phase, at d*outer behind it: behind all columns of the row, so nothing is written twice or waits for a
// send.
#include <algorithm>
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

// The largest operand's ids, before they are taken modulo n*n, must fit in 32 bits.
constexpr Rank kMostRanks = 1024;

bool supports(const Query& query) { return is_valid_tree(query) && query.ranks <= kMostRanks; }

// Columns of rows: their ids, and their slots in this phase and the next.
struct Part {
  Blocks ids, before, after;
};

struct Phase {
  std::uint32_t ranks, radix, place;
  std::uint32_t outer() const { return place * radix; }

  // What `holder` has with this digit, as the parts of one message.
  std::vector<Part> parts(Rank holder, std::uint32_t digit) const {
    std::vector<Part> list;
    const std::uint32_t first = digit * place;
    if (first >= ranks) return list;
    const std::uint32_t full = first + place > ranks ? 0 : (ranks - first - place) / outer() + 1;
    append(list, id_of(holder), digit, 0, full, place);
    const std::uint32_t begin = full * outer() + first;
    if (begin < ranks) append(list, id_of(holder), digit, full, 1, ranks - begin);
    return list;
  }

 private:
  // The first `width` columns of the digit in rows row .. row+rows-1.
  void append(std::vector<Part>& list, std::uint32_t holder, std::uint32_t digit, std::uint32_t row,
              std::uint32_t rows, std::uint32_t width) const {
    if (rows == 0) return;
    const std::uint32_t source = (holder + ranks - row * outer()) % ranks;
    const std::uint32_t row_stride = rows > 1 ? radix * outer() : 0;
    const std::uint32_t id_stride = rows > 1 ? (ranks - outer()) * ranks : 0;
    for (std::uint32_t done = 0; done < width;) {
      const std::uint32_t destination = (holder + digit * place + done) % ranks;
      const std::uint32_t count = std::min(width - done, ranks - destination);
      const std::uint32_t slot = row * radix * outer() + done;
      list.push_back({{source * ranks + destination, count, id_stride, rows},
                      {slot + digit * place, count, row_stride, rows},
                      {slot + digit * outer(), count, row_stride, rows}});
      done += count;
    }
  }
};

Schedule all_to_all(const Query& query, Rank self) {
  const std::uint32_t n = id_of(query.ranks);
  Phase phase{n, query.radix, 1};
  while (phase.outer() < n) phase.place *= query.radix;
  const bool single = phase.place == 1;
  Builder builder(query.ranks, n * n, single ? 0 : n * query.radix);
  builder.limit_messages(single ? 1 : n / 2 + 1);
  for (bool first = true; phase.place > 0; phase.place /= query.radix, first = false) {
    const bool last = phase.place == 1;
    // Blocks whose digit is 0 stay where they are, but enter scratch first and leave it last.
    if (first || last)
      for (const Part& part : phase.parts(self, 0))
        builder.combine({first ? input(part.ids) : scratch(part.before)},
                        {last ? output(part.ids) : scratch(part.after)});
    for (std::uint32_t digit = 1; digit < query.radix && digit * phase.place < n; ++digit) {
      const Rank distance = static_cast<Rank>(digit * phase.place);
      const Rank to = wrap(self + distance, query.ranks), from = wrap(self - distance, query.ranks);
      for (const Part& part : phase.parts(self, digit))
        builder.combine({first ? input(part.ids) : scratch(part.before)}, {peer(to, part.ids)});
      for (const Part& part : phase.parts(from, digit))
        builder.combine({peer(from, part.ids)}, {last ? output(part.ids) : scratch(part.after)});
    }
  }
  return std::move(builder).build();
}

// The distance is one digit at one place; everything with that digit goes.
std::uint64_t blocks_sent(const Query& query, Rank from, Rank to) {
  const std::uint64_t n = id_of(query.ranks), k = query.radix, distance = id_of(wrap(to - from, query.ranks));
  if (distance == 0) return 0;
  std::uint64_t place = 1;
  while (distance % (place * k) == 0) place *= k;
  if (distance >= place * k) return 0;
  const std::uint64_t rest = n % (place * k);
  return n / (place * k) * place + std::min(rest - std::min(rest, distance), place);
}

// A block moves once for each of its digits that is not 0; the first with d of them has only digits of 1.
std::uint32_t rounds(const Query& query) {
  std::uint32_t moves = 0;
  for (std::uint64_t first = 1; first < id_of(query.ranks); first = first * query.radix + 1) ++moves;
  return moves;
}

constexpr Algorithm kRows[] = {
    {"bruck", Collective::kAllToAll, false, supports, all_to_all, blocks_sent, rounds},
};

}  // namespace

std::span<const Algorithm> bruck() { return kRows; }

}  // namespace hansa::algorithms
