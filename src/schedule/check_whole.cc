// All ranks' schedules side by side: messages matched, progress proven.
#include <fmt/format.h>

#include <algorithm>

#include "schedule/check_parts.hpp"

namespace hansa::proof {

const Blocks& Whole::carried(Node node) const {
  const auto all = operands(node);
  return std::find_if(all.begin(), all.end(), [](const Operand& o) { return o.place != Place::kScratch; })
      ->blocks;
}

bool Whole::carries(Node node, std::uint32_t id) const {
  const Blocks& b = carried(node);
  const std::uint32_t modulus = schedule(node).blocks;
  for (std::uint32_t i = 0; i < b.repeats; ++i)
    if ((id + modulus - (b.first + i * b.stride) % modulus) % modulus < b.count) return true;
  return false;
}

bool Whole::lands(Node node) const {
  const Step& s = step(node);
  const Schedule& list = schedule(node);
  if (s.sources != 1 || list.sources(s)[0].place != Place::kPeer) return false;
  const auto to = list.destinations(s);
  return std::none_of(to.begin(), to.end(), [](const Operand& o) { return o.place == Place::kPeer; });
}

// Where a schedule has repeats, also which step of it and in which round.
std::string Whole::name(Node node) const {
  const auto rank = static_cast<std::size_t>(rank_of[node]);
  const std::uint32_t index = node - first_step[rank];
  std::string text = fmt::format("rank {} step {}", rank, index);
  std::uint64_t expanded = 0, original = 0;
  for (const Repeat& repeat : originals[rank].repeats) {
    expanded += repeat.first_step - original;
    if (index < expanded) break;
    const std::uint64_t all = std::uint64_t{repeat.steps} * repeat.times;
    if (index < expanded + all)
      return fmt::format("{} (step {} in round {})", text,
                         repeat.first_step + (index - expanded) % repeat.steps,
                         (index - expanded) / repeat.steps);
    expanded += all;
    original = std::uint64_t{repeat.first_step} + repeat.steps;
  }
  return text;
}

namespace {

// One end of a message. Sorted by channel, and in list order within it.
struct End {
  std::uint64_t pair;
  std::uint32_t lane;
  std::uint32_t operand;
  bool operator<(const End& other) const {
    if (pair != other.pair) return pair < other.pair;
    return lane != other.lane ? lane < other.lane : operand < other.operand;
  }
  bool same_channel(const End& other) const { return pair == other.pair && lane == other.lane; }
};

std::vector<End> ends(const Whole& whole, bool sending) {
  std::vector<End> list;
  for (Node node = 0; node < whole.rank_of.size(); ++node) {
    const Step& step = whole.step(node);
    const Schedule& schedule = whole.schedule(node);
    const auto operands = sending ? schedule.destinations(step) : schedule.sources(step);
    std::uint32_t number = whole.first_operand_of(node) + (sending ? step.sources : 0);
    for (const Operand& operand : operands) {
      if (operand.place == Place::kPeer) {
        const auto self = static_cast<std::uint64_t>(whole.rank_of[node]),
                   peer = static_cast<std::uint64_t>(operand.peer);
        list.push_back({sending ? self << 32 | peer : peer << 32 | self, operand.lane, number});
      }
      ++number;
    }
  }
  std::sort(list.begin(), list.end());
  return list;
}

const Operand& operand_at(const Whole& whole, std::uint32_t number) {
  const auto rank = static_cast<std::size_t>(whole.rank_of[whole.step_of[number]]);
  return whole.by_rank[rank].operands[number - whole.first_operand[rank]];
}

Status unmatched(const Whole& whole, const End& end, bool sending) {
  const auto from = end.pair >> 32, to = end.pair & 0xffffffffu;
  if (sending)
    return wrong(fmt::format("{}: sends a message to rank {} on lane {} that nobody receives",
                             whole.name(whole.step_of[end.operand]), to, end.lane));
  return wrong(fmt::format("{}: receives a message from rank {} on lane {} that nobody sends",
                           whole.name(whole.step_of[end.operand]), from, end.lane));
}

Status same_data(const Whole& whole, std::uint32_t sent, std::uint32_t received) {
  const Operand &a = operand_at(whole, sent), &b = operand_at(whole, received);
  const std::uint32_t modulus = whole.by_rank[0].blocks;
  const Node from = whole.step_of[sent], to = whole.step_of[received];
  if (a.blocks == b.blocks) return {};
  if (a.blocks.size() != b.blocks.size())
    return wrong(fmt::format("{} sends {} blocks, which {} receives as {}", whole.name(from), a.blocks.size(),
                             whole.name(to), b.blocks.size()));
  for (std::uint32_t k = 0; k < a.blocks.size(); ++k) {
    const std::uint32_t x = id_at(a.blocks, k, modulus), y = id_at(b.blocks, k, modulus);
    if (x != y)
      return wrong(fmt::format("{} sends block {}, which {} receives as block {}", whole.name(from), x,
                               whole.name(to), y));
  }
  return {};
}

}  // namespace

Status match(Whole& whole) {
  const std::vector<End> sent = ends(whole, true), received = ends(whole, false);
  for (std::size_t s = 0, r = 0; s < sent.size() || r < received.size(); ++s, ++r) {
    if (r == received.size() ||
        (s < sent.size() && !sent[s].same_channel(received[r]) && sent[s] < received[r]))
      return unmatched(whole, sent[s], true);
    if (s == sent.size() || !sent[s].same_channel(received[r])) return unmatched(whole, received[r], false);
    whole.partner[sent[s].operand] = received[r].operand;
    whole.partner[received[r].operand] = sent[s].operand;
    if (whole.query.collective != Collective::kPointToPoint)
      HANSA_RETURN_IF_ERROR(same_data(whole, sent[s].operand, received[r].operand));
  }
  return {};
}

Status lay_out(Whole& whole) {
  for (const Schedule& schedule : whole.originals) {
    if (schedule.blocks != whole.originals[0].blocks && whole.query.collective != Collective::kPointToPoint)
      return wrong(fmt::format("rank {} cuts the data into {} blocks, rank 0 into {}",
                               &schedule - whole.originals.data(), schedule.blocks,
                               whole.originals[0].blocks));
    if (schedule.largest_message != whole.originals[0].largest_message)
      return wrong(fmt::format("rank {} states a largest message of {} blocks, rank 0 of {}",
                               &schedule - whole.originals.data(), schedule.largest_message,
                               whole.originals[0].largest_message));
    whole.by_rank.push_back(expand(schedule));
  }
  for (const Schedule& schedule : whole.by_rank) {
    const auto rank = static_cast<Rank>(&schedule - whole.by_rank.data());
    whole.first_step.push_back(static_cast<Node>(whole.rank_of.size()));
    whole.first_operand.push_back(static_cast<std::uint32_t>(whole.step_of.size()));
    whole.rank_of.insert(whole.rank_of.end(), schedule.steps.size(), rank);
    whole.step_of.resize(whole.step_of.size() + schedule.operands.size(), kNone);
    for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
      const Step& step = schedule.steps[s];
      for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
        Node& owner = whole.step_of[whole.first_operand.back() + step.operands + k];
        if (owner != kNone)
          return wrong(fmt::format("rank {} step {}: shares operands with another step", rank, s));
        owner = whole.first_step.back() + s;
      }
    }
  }
  whole.first_step.push_back(static_cast<Node>(whole.rank_of.size()));
  whole.first_operand.push_back(static_cast<std::uint32_t>(whole.step_of.size()));
  whole.partner.assign(whole.step_of.size(), kNone);
  return {};
}

namespace {

void add_channel_order(const Whole& whole, Graph& graph, bool sending) {
  const std::vector<End> list = ends(whole, sending);
  for (std::size_t i = 1; i < list.size(); ++i) {
    const Node a = whole.step_of[list[i - 1].operand], b = whole.step_of[list[i].operand];
    if (list[i].same_channel(list[i - 1]) && a != b)
      graph.add(a, b, sending ? Why::kSendOrder : Why::kReceiveOrder);
  }
}

}  // namespace

Status check_progress(const Whole& whole, Graph& graph) {
  for (Node node = 0; node < whole.rank_of.size(); ++node) {
    const Node first = whole.first_step[static_cast<std::size_t>(whole.rank_of[node])];
    const Step& step = whole.step(node);
    const auto deps = whole.schedule(node).dependencies(step);
    for (const std::uint32_t dep : deps) graph.add(first + dep, node, Why::kDependency);
    const bool lands = whole.lands(node);
    for (std::uint32_t k = 0; k < step.sources; ++k) {
      const std::uint32_t sent = whole.partner[whole.first_operand_of(node) + k];
      if (sent == kNone) continue;
      const Node sender = whole.step_of[sent];
      graph.add(sender, node, Why::kMessage);
      if (!lands) continue;
      for (const std::uint32_t dep : deps) graph.add(first + dep, sender, Why::kPosted);
    }
  }
  add_channel_order(whole, graph, true);
  add_channel_order(whole, graph, false);
  if (graph.sort()) return {};
  return wrong(graph.describe_cycle([&](Node node) { return whole.name(node); }));
}

}  // namespace hansa::proof
