// Races: of two accesses to one block, one of which writes, one must come before the other in every order.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "schedule/check_parts.hpp"

namespace hansa::proof {
namespace {

// A block of some rank's memory read or written. The step that names the block does so; where memory may be
// reached directly, the step at the other end of its message may do so instead. Messages go either way, by
// their size, so both count, and nothing is ordered by what only the direct way does.
struct Access {
  Node by = kNone;
  Place place = Place::kInput;
  bool writes = false;
};

// `from` has to be over before `to` begins: both touch the block `id` of `rank`. Blocks may differ in length,
// so a chunk may lack the steps whose blocks have all ended, and such a step orders nothing there. What comes
// between the two must carry the block, to be there whenever both are.
struct Conflict {
  Access from, to;
  Rank rank;
  std::uint32_t id;
};

// Whether an event comes between by right. A message that lands in place does so with its first byte: its
// dependencies and its sender come before that, its turn on the channel does not. Nor does anything that only
// holds where nothing is buffered.
bool counts(const Graph::Before& edge, bool lands) {
  return edge.why != Why::kPosted && !(lands && edge.why == Why::kReceiveOrder);
}

bool direct(const Graph& graph, Node from, Node to, bool lands) {
  for (const Graph::Before& edge : graph.before(to))
    if (edge.node == from && counts(edge, lands)) return true;
  return false;
}

Status race(const Whole& whole, const Conflict& conflict) {
  const Access &a = conflict.from, &b = conflict.to;
  const auto verb = [](const Access& access) { return access.writes ? "writes" : "reads"; };
  return wrong(fmt::format("race: {} {} rank {}'s {} block {} and {} {} {}, in no fixed order{}",
                           whole.name(a.by), verb(a), conflict.rank, proof::name_of({a.place, 0, -1, {}}),
                           conflict.id, whole.name(b.by), verb(b),
                           a.place == b.place ? "it" : proof::name_of({b.place, 0, -1, {}}),
                           a.place == b.place ? "" : " (in place these are the same bytes)"));
}

// Decides conflicts that have no edge of their own, up to 64 different `from` of one block at once, by a pass
// over the steps that carry the block, in order.
class Sweep {
 public:
  Sweep(const Whole& whole, const Graph& graph)
      : whole_(whole), graph_(graph), reached_(graph.order().size()) {
    carriers_.resize(whole.by_rank[0].blocks);
    for (const Node node : graph.order()) {
      const Blocks& carried = whole.carried(node);
      for (std::uint32_t k = 0; k < carried.size(); ++k)
        carriers_[id_at(carried, k, whole.by_rank[0].blocks)].push_back(node);
    }
  }

  // The first that is not ordered, or null.
  const Conflict* first_unordered(std::vector<Conflict>& conflicts) {
    const auto key = [&](const Conflict& c) { return std::tuple(c.id, graph_.position(c.from.by), c.to.by); };
    std::sort(conflicts.begin(), conflicts.end(),
              [&](const Conflict& a, const Conflict& b) { return key(a) < key(b); });
    for (std::size_t begin = 0; begin < conflicts.size();) {
      std::size_t end = begin, different = 0;
      for (; end < conflicts.size() && conflicts[end].id == conflicts[begin].id; ++end) {
        different += end == begin || conflicts[end].from.by != conflicts[end - 1].from.by;
        if (different > 64) break;
      }
      if (const auto* race = pass(std::span(conflicts).subspan(begin, end - begin))) return race;
      begin = end;
    }
    return nullptr;
  }

 private:
  std::uint64_t gather(Node node, bool lands) const {
    std::uint64_t reached = 0;
    for (const Graph::Before& edge : graph_.before(node))
      if (counts(edge, lands)) reached |= reached_[edge.node];
    return reached;
  }

  const Conflict* pass(std::span<const Conflict> conflicts) {
    const std::span<const Node> nodes = carriers_[conflicts[0].id];
    std::size_t next = 0;
    std::uint64_t bit = 1;
    for (const Node node : nodes) {
      reached_[node] = gather(node, false);
      if (next == conflicts.size() || conflicts[next].from.by != node) continue;
      reached_[node] |= bit;
      bit <<= 1;
      while (next < conflicts.size() && conflicts[next].from.by == node) ++next;
    }
    const Conflict* race = nullptr;
    bit = 1;
    for (std::size_t c = 0; c < conflicts.size() && race == nullptr; ++c) {
      if (c > 0 && conflicts[c].from.by != conflicts[c - 1].from.by) bit <<= 1;
      if (!(gather(conflicts[c].to.by, whole_.lands(conflicts[c].to.by)) & bit)) race = &conflicts[c];
    }
    for (const Node node : nodes) reached_[node] = 0;
    return race;
  }

  const Whole& whole_;
  const Graph& graph_;
  std::vector<std::vector<Node>> carriers_;  // by block, in order
  std::vector<std::uint64_t> reached_;       // by step: which `from` come before; 0 unless in a pass
};

// Walks the accesses to one rank's memory in an order that keeps to all that must wait. An access to the
// input or output has to come after the last write of the block and, if it writes, after the reads since; the
// rest follows by transitivity. In place is the stricter case: what is ordered there is ordered in separate
// buffers. A scratch slot holds blocks of several ids, any of which may have ended, so each access to it has
// to come after each before it.
class RankRaces {
 public:
  RankRaces(const Whole& whole, const Graph& graph, Rank rank)
      : whole_(whole),
        graph_(graph),
        rank_(rank),
        first_(whole.first_step[static_cast<std::size_t>(rank)]),
        end_(whole.first_step[static_cast<std::size_t>(rank) + 1]),
        cells_(whole.query, rank, whole.by_rank[static_cast<std::size_t>(rank)], true),
        writer_(cells_.count()),
        readers_(cells_.count()),
        first_slot_(cells_.count() - whole.by_rank[static_cast<std::size_t>(rank)].scratch_blocks),
        slots_(whole.by_rank[static_cast<std::size_t>(rank)].scratch_blocks),
        seen_(end_ - first_, 0) {}

  // Appends the conflicts that are still to be decided.
  Status run(std::vector<Conflict>& open) {
    for (Node node = first_; node < end_; ++node) collect(node);
    std::stable_sort(touches_.begin(), touches_.end(), [&](const Touch& a, const Touch& b) {
      const std::uint32_t p = graph_.position(a.access.by), q = graph_.position(b.access.by);
      return p != q ? p < q : a.access.writes < b.access.writes;
    });
    for (const Touch& touch : touches_)
      for (std::uint32_t k = 0; k < touch.operand->blocks.size(); ++k)
        HANSA_RETURN_IF_ERROR(add(touch, k, open));
    return {};
  }

 private:
  struct Touch {
    Access access;
    Node step;  // that names the block
    const Operand* operand;
  };

  void collect(Node node) {
    const Step& step = whole_.step(node);
    const auto operands = whole_.operands(node);
    const std::uint32_t first = whole_.first_operand_of(node);
    for (std::uint32_t i = 0; i < operands.size(); ++i) {
      const Place place = operands[i].place;
      if (place == Place::kPeer) continue;
      const bool writes = i >= step.sources;
      touches_.push_back({{node, place, writes}, node, &operands[i]});
      const Mechanism direct = writes ? Mechanism::kPush : Mechanism::kPull;
      for (std::uint32_t other = 0; other < operands.size(); ++other)
        if ((other >= step.sources) != writes && whole_.moves(first + other) == direct)
          touches_.push_back(
              {{whole_.step_of[whole_.partner[first + other]], place, writes}, node, &operands[i]});
    }
  }

  Status add(const Touch& touch, std::uint32_t k, std::vector<Conflict>& open) {
    const std::uint32_t cell = cells_.at(*touch.operand, k);
    if (touch.operand->place == Place::kScratch) return add_scratch(touch, k, slots_[cell - first_slot_]);
    HANSA_RETURN_IF_ERROR(same_either_way(touch, cell));
    meet(writer_[cell], touch, k, open);
    if (!touch.access.writes) {
      readers_[cell].push_back(touch.access);
      return {};
    }
    for (const Access& reader : readers_[cell]) meet(reader, touch, k, open);
    readers_[cell].clear();
    writer_[cell] = touch.access;
    return {};
  }

  // Memory that is reached directly holds the same until then as when its own step ran, or from then on.
  Status same_either_way(const Touch& touch, std::uint32_t cell) {
    const Access& access = touch.access;
    if (access.by != touch.step && !access.writes && writer_[cell].by != kNone &&
        graph_.position(writer_[cell].by) > graph_.position(touch.step))
      return wrong(fmt::format("{} offers a block that {} overwrites before {} reads it",
                               whole_.name(touch.step), whole_.name(writer_[cell].by),
                               whole_.name(access.by)));
    const std::uint32_t first = whole_.first_operand_of(touch.step);
    if (access.by == touch.step && access.writes && whole_.moves(first) == Mechanism::kPush)
      if (const Node pusher = whole_.step_of[whole_.partner[first]];
          writer_[cell].by != pusher || !readers_[cell].empty())
        return wrong(fmt::format("{} accepts a block that is used after {} wrote it", whole_.name(touch.step),
                                 whole_.name(pusher)));
    return {};
  }

  void meet(const Access& earlier, const Touch& touch, std::uint32_t k, std::vector<Conflict>& open) {
    const Access& later = touch.access;
    if (earlier.by == kNone || earlier.by == later.by) return;
    if (earlier.by == decided_from_ && later.by == decided_to_) return;
    if (!direct(graph_, earlier.by, later.by, whole_.lands(later.by))) {
      open.push_back(
          {earlier, later, rank_, id_at(touch.operand->blocks, k, whole_.schedule(touch.step).blocks)});
      return;
    }
    decided_from_ = earlier.by;
    decided_to_ = later.by;
  }

  struct Use {
    Access access;
    std::uint32_t id;
  };

  Status add_scratch(const Touch& touch, std::uint32_t k, std::vector<Use>& slot) {
    const Node node = touch.access.by;
    const std::uint32_t id = id_at(whole_.carried(node), k, whole_.schedule(node).blocks);
    for (const Use& use : slot) {
      if ((!use.access.writes && !touch.access.writes) || use.access.by == node) continue;
      if (!depends(node, use.access.by, id, use.id))
        return race(whole_, {use.access, touch.access, rank_,
                             id_at(touch.operand->blocks, k, whole_.schedule(node).scratch_blocks)});
    }
    slot.push_back({touch.access, id});
    return {};
  }

  // Whether `later` depends on `earlier`, directly or by way of steps that carry either block.
  bool depends(Node later, Node earlier, std::uint32_t a, std::uint32_t b) {
    ++search_;
    std::vector<Node> todo{later};
    while (!todo.empty()) {
      const Node node = todo.back();
      todo.pop_back();
      const auto deps = whole_.schedule(node).dependencies(whole_.step(node));
      if (std::find(deps.begin(), deps.end(), earlier - first_) != deps.end()) return true;
      for (const std::uint32_t dep : deps) {
        if (first_ + dep < earlier || seen_[dep] == search_) continue;
        seen_[dep] = search_;
        if (whole_.carries(first_ + dep, a) || whole_.carries(first_ + dep, b)) todo.push_back(first_ + dep);
      }
    }
    return false;
  }

  const Whole& whole_;
  const Graph& graph_;
  Rank rank_;
  Node first_, end_;
  Cells cells_;
  std::vector<Touch> touches_;
  std::vector<Access> writer_;                // by cell: the last
  std::vector<std::vector<Access>> readers_;  // by cell: since then
  std::uint32_t first_slot_;
  std::vector<std::vector<Use>> slots_;  // of scratch: all accesses
  std::uint32_t search_ = 0;
  std::vector<std::uint32_t> seen_;  // by step: in which search
  Node decided_from_ = kNone, decided_to_ = kNone;
};

}  // namespace

Status check_races(const Whole& whole, const Graph& graph) {
  std::vector<Conflict> open;
  for (Rank rank = 0; rank < whole.query.ranks; ++rank)
    HANSA_RETURN_IF_ERROR(RankRaces(whole, graph, rank).run(open));
  if (open.empty()) return {};
  if (const Conflict* conflict = Sweep(whole, graph).first_unordered(open)) return race(whole, *conflict);
  return {};
}

}  // namespace hansa::proof
