// Hierarchies from the flat rows: the ranks of a part (a host, a group of hosts) act as one rank of a row
// that runs between the parts, so each byte crosses a part's link as seldom as that row lets it. Where
// several levels divide the ranks, the part's own row is such a hierarchy again.
//
//   rails_ROW    every rank of a part speaks for it on a rail of its own, with a share of the vector. With
//                uneven parts there are as many rails as the largest has ranks; in a smaller part one rank
//                speaks on several.
//   leaders_ROW  one rank speaks for its part: the fewest messages.
//
// What speakers read of their input is summed on the way over all ranks of the part, and their results go to
// all of them: neither is stored in between.
#include <array>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "algorithms/common.hpp"

namespace hansa::algorithms {
namespace {

struct Form {
  std::string_view name, row;
  Collective collective;
  bool rails = true;
  bool reads_once = true;  // no block of the input is read in two steps of the row
};

constexpr Form kForms[] = {
    {"rails_two_shot", "two_shot", Collective::kAllReduce},
    {"rails_circulant", "circulant", Collective::kAllReduce},
    {"rails_ring", "ring", Collective::kAllReduce},
    {"leaders_recursive_doubling", "recursive_doubling", Collective::kAllReduce, false, false},
    {"rails_direct", "direct", Collective::kAllGather},
    {"rails_circulant", "circulant", Collective::kAllGather},
    {"rails_ring", "ring", Collective::kAllGather},
    {"rails_direct", "direct", Collective::kReduceScatter},
    {"rails_ring", "ring", Collective::kReduceScatter},
    {"rails_two_shot", "two_shot", Collective::kBroadcast},
    {"rails_ring", "ring", Collective::kBroadcast},
    {"leaders_knomial", "knomial", Collective::kBroadcast, false},
    {"rails_two_shot", "two_shot", Collective::kReduce},
    {"rails_ring", "ring", Collective::kReduce},
    {"leaders_knomial", "knomial", Collective::kReduce, false},
};

const Algorithm& row_of(const Form& form) {
  for (const Algorithm& row : builtin_algorithms())
    if (row.collective == form.collective && row.name == form.row) return row;
  std::abort();  // the table above names rows that exist
}

// One level: the query of its members, and that of its parts.
class Level {
 public:
  Level(const Form& form, const Query& query, const Partition& partition)
      : form_(form), query_(query), partition_(partition) {}

  std::uint32_t rails() const { return form_.rails ? id_of(partition_.most()) : 1; }
  Rank part_of(Rank member) const { return partition_.part_of[static_cast<std::size_t>(member)]; }
  std::span<const Rank> mates(Rank member) const { return partition_.mates(member); }
  bool is_root(Rank part) const { return rooted(query_.collective) && part == part_of(query_.root); }

  Query between_parts() const {
    Query between = query_;
    between.ranks = partition_.count();
    between.root = part_of(query_.root);
    between.levels = nullptr;
    return between;
  }

  Rank speaker(Rank part, std::uint32_t rail) const {
    if (!form_.rails && is_root(part)) return query_.root;
    const auto members = partition_.part(part);
    return members[std::size_t{rail} * members.size() / rails()];
  }
  std::vector<Rank> speakers(std::uint32_t rail) const {
    std::vector<Rank> list;
    for (Rank part = 0; part < partition_.count(); ++part) list.push_back(speaker(part, rail));
    return list;
  }

  // The names that the blocks of the parts' schedule have on a rail. Where ids are ranks, each of them uses
  // the first rail that it speaks on.
  bool ids_are_ranks() const {
    return query_.collective == Collective::kAllGather || query_.collective == Collective::kReduceScatter;
  }
  std::uint32_t blocks(std::uint32_t of_parts) const {
    return ids_are_ranks() ? id_of(query_.ranks) : rails() * of_parts;
  }
  std::vector<std::uint32_t> names(std::uint32_t of_parts, std::uint32_t rail) const {
    std::vector<std::uint32_t> ids(of_parts);
    std::iota(ids.begin(), ids.end(), rail * of_parts);
    if (!ids_are_ranks()) return ids;
    for (Rank part = 0; part < partition_.count(); ++part) {
      const Rank rank = speaker(part, rail);
      const bool first = rail == 0 || speaker(part, rail - 1) != rank;
      ids[static_cast<std::size_t>(part)] = first ? id_of(rank) : kNoBlock;
    }
    return ids;
  }

  // Whose input a speaker's part is made of, and who gets its results.
  bool gives(Rank member, Rank to) const {
    if (query_.collective == Collective::kAllGather) return member == to;
    return query_.collective != Collective::kBroadcast || member == query_.root;
  }
  bool takes(Rank member, Rank from) const {
    if (query_.collective == Collective::kReduceScatter) return member == from;
    if (query_.collective == Collective::kBroadcast && member == query_.root) return member == from;
    return query_.collective != Collective::kReduce || member == query_.root;
  }

 private:
  const Form& form_;
  const Query& query_;
  const Partition& partition_;
};

Schedule build(const Form& form, const Query& query, std::span<const Partition> levels, Rank self) {
  if (levels.empty()) {
    const Schedule flat = row_of(form).build(query, self);
    if (form.reads_once) return flat;
    Builder copy(query.ranks, flat.blocks);
    copy.combine({input(run(0, flat.blocks))}, {output(run(0, flat.blocks))});
    return sequence(std::move(copy).build(), in_place(flat));
  }
  const Level level(form, query, levels.front());
  const Rank part = level.part_of(self);
  const Schedule as_part = build(form, level.between_parts(), levels.subspan(1), part);
  std::vector<Rail> rails;
  for (std::uint32_t number = 0; number < level.rails(); ++number) {
    Rail rail{level.speakers(number), level.names(as_part.blocks, number), {}, {}};
    const Rank speaker = level.speaker(part, number);
    for (const Rank mate : level.mates(self)) {
      if (level.gives(mate, speaker)) rail.givers.push_back(mate);
      if (level.takes(mate, speaker)) rail.takers.push_back(mate);
    }
    rails.push_back(std::move(rail));
  }
  return on_rails(
      as_part,
      {self, query.ranks, part, level.blocks(as_part.blocks), query.collective == Collective::kBroadcast},
      rails);
}

// Of the schedule that runs between the parts of the last level.
std::uint32_t blocks_of(const Form& form, const Query& query, std::span<const Partition> levels) {
  if (levels.empty()) return row_of(form).build(query, 0).blocks;
  const Level level(form, query, levels.front());
  return level.blocks(blocks_of(form, level.between_parts(), levels.subspan(1)));
}

std::uint64_t blocks_sent(const Form& form, const Query& query, std::span<const Partition> levels, Rank from,
                          Rank to) {
  if (from == to) return 0;
  if (levels.empty()) return row_of(form).blocks_sent(query, from, to);
  const Level level(form, query, levels.front());
  const Query between = level.between_parts();
  const Rank part = level.part_of(from), other = level.part_of(to);
  std::uint64_t count = 0;
  for (std::uint32_t rail = 0; rail < level.rails(); ++rail) {
    const Rank speaker = level.speaker(part, rail);
    if (part != other)
      count += from == speaker && to == level.speaker(other, rail);
    else
      count += (from == speaker && level.takes(to, speaker)) + (to == speaker && level.gives(from, speaker));
  }
  if (count == 0) return 0;
  return count * (part != other ? blocks_sent(form, between, levels.subspan(1), part, other)
                                : blocks_of(form, between, levels.subspan(1)));
}

// Each level adds what its speakers wait for, and what the others wait for them. Rails that share a channel
// (a rank of a small part speaks on several, an outer level has its own) may wait for one another besides.
std::uint32_t rounds(const Form& form, const Query& query, std::span<const Partition> levels) {
  if (levels.empty()) return row_of(form).rounds(query);
  const bool given = query.collective != Collective::kAllGather &&
                     (form.rails || query.collective != Collective::kBroadcast);
  const bool taken = query.collective != Collective::kReduceScatter &&
                     (form.rails || query.collective != Collective::kReduce);
  const Level level(form, query, levels.front());
  return rounds(form, level.between_parts(), levels.subspan(1)) + given + taken;
}

bool supports(const Form& form, const Query& query) {
  if (!is_valid(query) || query.levels == nullptr || query.levels->ranks() != query.ranks ||
      query.levels->partitions().empty())
    return false;
  Query between = query;
  for (const Partition& partition : query.levels->partitions())
    between = Level(form, between, partition).between_parts();
  return row_of(form).supports(between);
}

template <std::size_t index>
constexpr Algorithm row() {
  return {kForms[index].name,
          kForms[index].collective,
          kForms[index].collective == Collective::kAllGather ||
              kForms[index].collective == Collective::kReduceScatter,
          [](const Query& query) { return supports(kForms[index], query); },
          [](const Query& query, Rank self) {
            return build(kForms[index], query, query.levels->partitions(), self);
          },
          [](const Query& query, Rank from, Rank to) {
            return blocks_sent(kForms[index], query, query.levels->partitions(), from, to);
          },
          [](const Query& query) { return rounds(kForms[index], query, query.levels->partitions()); }};
}

constexpr auto kRows = []<std::size_t... index>(std::index_sequence<index...>) {
  return std::array{row<index>()...};
}
(std::make_index_sequence<std::size(kForms)>());

}  // namespace

std::span<const Algorithm> hierarchical() { return kRows; }

}  // namespace hansa::algorithms
