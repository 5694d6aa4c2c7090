#include "tests/support/random_order.hpp"

#include <algorithm>
#include <random>
#include <tuple>

namespace hansa::test {
namespace {

std::uint64_t mixed(std::uint64_t x) {  // splitmix64's finisher (Steele, Lea, Flood 2014)
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t contribution(const Query& query, Rank rank, std::uint32_t id) {
  return mixed(mixed(id) + (reduces(query.collective) ? static_cast<std::uint64_t>(rank) : 0));
}

std::uint64_t finished(std::uint64_t value) { return value * 0x2545f4914f6cdd1du + 1; }

std::uint64_t expected(const Query& query, std::uint32_t id) {
  if (!reduces(query.collective)) return contribution(query, 0, id);
  std::uint64_t sum = 0;
  for (Rank rank = 0; rank < query.ranks; ++rank) sum += contribution(query, rank, id);
  return finished(sum);
}

bool has(const Query& query, bool output, Rank rank, std::uint32_t id) {
  const bool root = rank == query.root, own = id == static_cast<std::uint32_t>(rank);
  const auto n = static_cast<std::uint32_t>(query.ranks);
  switch (query.collective) {
    case Collective::kBroadcast:
      return output || root;
    case Collective::kReduce:
      return !output || root;
    case Collective::kAllGather:
      return output || own;
    case Collective::kGather:
      return output ? root : own;
    case Collective::kReduceScatter:
      return !output || own;
    case Collective::kScatter:
      return output ? own : root;
    case Collective::kAllToAll:
      return (output ? id % n : id / n) == static_cast<std::uint32_t>(rank);
    default:
      return true;
  }
}

bool is_message(const Operand& operand) { return operand.place == Place::kPeer; }

}  // namespace

RandomOrder::RandomOrder(const Query& query, std::span<const Schedule> by_rank, bool in_place)
    : query_(query), in_place_(in_place), blocks_(by_rank[0].blocks) {
  for (const Schedule& schedule : by_rank) {
    first_cell_.push_back(cell_count_);
    cell_count_ += 2 * blocks_ + schedule.scratch_blocks;
  }
  for (Rank rank = 0; rank < query.ranks; ++rank)
    add_rank(rank, expand(by_rank[static_cast<std::size_t>(rank)]));
  connect();
  cells_.resize(cell_count_);
}

std::vector<std::uint32_t> RandomOrder::cells_of(Rank rank, const Operand& operand) const {
  const std::uint32_t first = first_cell_[static_cast<std::size_t>(rank)];
  std::vector<std::uint32_t> cells;
  const Blocks& b = operand.blocks;
  const bool scratch = operand.place == Place::kScratch;
  const auto r = static_cast<std::size_t>(rank);
  const std::uint32_t end = r + 1 < first_cell_.size() ? first_cell_[r + 1] : cell_count_;
  const std::uint32_t modulus = scratch ? end - first - 2 * blocks_ : blocks_;
  for (std::uint32_t i = 0; i < b.repeats; ++i)
    for (std::uint32_t j = 0; j < b.count; ++j) {
      const std::uint32_t id = (b.first + i * b.stride + j) % modulus;
      const bool output = operand.place == Place::kOutput && !(in_place_ && has(query_, false, rank, id));
      cells.push_back(first + id + (scratch ? 2 * blocks_ : output ? blocks_ : 0));
    }
  return cells;
}

void RandomOrder::add_rank(Rank rank, const Schedule& schedule) {
  const auto first = static_cast<std::uint32_t>(actions_.size());
  for (const Step& step : schedule.steps) {
    const auto number = static_cast<std::uint32_t>(actions_.size());
    Action action;
    action.blocks = schedule.sources(step)[0].blocks.size();
    action.finish = step.finish;
    const auto sources = schedule.sources(step), destinations = schedule.destinations(step);
    action.lands = sources.size() == 1 && is_message(sources[0]) &&
                   std::none_of(destinations.begin(), destinations.end(), is_message);
    const auto self = static_cast<std::uint32_t>(rank);
    for (std::uint32_t k = 0; k < sources.size(); ++k) {
      action.sources.push_back(is_message(sources[k]) ? std::vector<std::uint32_t>()
                                                      : cells_of(rank, sources[k]));
      if (is_message(sources[k]))
        received_.push_back({static_cast<std::uint32_t>(sources[k].peer), self, sources[k].lane, number, k});
    }
    for (std::uint32_t k = 0; k < destinations.size(); ++k) {
      action.destinations.push_back(is_message(destinations[k]) ? std::vector<std::uint32_t>()
                                                                : cells_of(rank, destinations[k]));
      if (is_message(destinations[k]))
        sent_.push_back(
            {self, static_cast<std::uint32_t>(destinations[k].peer), destinations[k].lane, number, k});
    }
    actions_.push_back(std::move(action));
    deps_.emplace_back();
    for (const std::uint32_t dep : schedule.dependencies(step)) deps_.back().push_back(first + dep);
  }
}

void RandomOrder::before(std::uint32_t earlier, std::uint32_t later) {
  events_[earlier].followers.push_back(later);
  ++events_[later].waits;
}

// The k-th message sent on a channel is the k-th received; both ends keep to that order.
void RandomOrder::connect() {
  const auto channel = [](const End& end) { return std::tuple(end.channel_from, end.channel_to, end.lane); };
  const auto less = [&](const End& a, const End& b) { return channel(a) < channel(b); };
  std::stable_sort(sent_.begin(), sent_.end(), less);
  std::stable_sort(received_.begin(), received_.end(), less);
  events_.resize(actions_.size() + sent_.size());
  for (std::uint32_t a = 0; a < actions_.size(); ++a)
    for (const std::uint32_t dep : deps_[a]) before(dep, a);
  for (std::size_t m = 0; m < sent_.size(); ++m) {
    const End &from = sent_[m], &to = received_[m];
    Action &sender = actions_[from.action], &receiver = actions_[to.action];
    auto& letter = sender.destinations[from.operand];
    for (std::uint32_t k = 0; k < sender.blocks; ++k) letter.push_back(cell_count_++);
    receiver.sources[to.operand] = letter;
    const auto arrival = static_cast<std::uint32_t>(actions_.size() + messages_.size());
    messages_.push_back({from.action, to.action});
    before(from.action, arrival);
    before(arrival, to.action);
    if (receiver.lands)
      for (const std::uint32_t dep : deps_[to.action]) before(dep, arrival);
    if (m == 0 || channel(sent_[m - 1]) != channel(from)) continue;
    if (sent_[m - 1].action != from.action) before(sent_[m - 1].action, from.action);
    if (received_[m - 1].action != to.action) before(received_[m - 1].action, to.action);
  }
}

void RandomOrder::move(const Action& action) {
  for (std::uint32_t k = 0; k < action.blocks; ++k) {
    std::uint64_t value = 0;
    for (const auto& source : action.sources) value += cells_[source[k]];
    if (action.finish) value = finished(value);
    for (const auto& destination : action.destinations) cells_[destination[k]] = value;
  }
}

void RandomOrder::happen(std::uint32_t event, bool early) {
  if (event < actions_.size()) {
    if (const Action& action = actions_[event]; !action.lands || !early) move(action);
  } else if (const Action& receiver = actions_[messages_[event - actions_.size()].receiver];
             receiver.lands && early) {
    move(receiver);
  }
}

std::string RandomOrder::run(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::uint64_t& cell : cells_) cell = random();
  for (Rank rank = 0; rank < query_.ranks; ++rank)
    for (std::uint32_t id = 0; id < blocks_; ++id)
      if (has(query_, false, rank, id))
        cells_[first_cell_[static_cast<std::size_t>(rank)] + id] = contribution(query_, rank, id);
  // Half of the runs let chance pick each time; half let some events wait as long as anything else can
  // happen.
  const bool in_line = seed % 2 == 0, early = seed % 4 < 2;
  waits_.resize(events_.size());
  rank_in_line_.resize(events_.size());
  ready_.clear();
  for (std::uint32_t e = 0; e < events_.size(); ++e) {
    waits_[e] = events_[e].waits;
    if (waits_[e] == 0) ready_.push_back(e);
    rank_in_line_[e] = static_cast<std::uint32_t>(random());
  }
  std::size_t happened = 0;
  for (; !ready_.empty(); ++happened) {
    std::size_t pick = random() % ready_.size();
    if (in_line)
      for (std::size_t i = 0; i < ready_.size(); ++i)
        if (rank_in_line_[ready_[i]] < rank_in_line_[ready_[pick]]) pick = i;
    const std::uint32_t event = ready_[pick];
    ready_[pick] = ready_.back();
    ready_.pop_back();
    happen(event, early);
    for (const std::uint32_t follower : events_[event].followers)
      if (--waits_[follower] == 0) ready_.push_back(follower);
  }
  return happened == events_.size() ? judge() : "some steps never run";
}

std::string RandomOrder::judge() const {
  for (Rank rank = 0; rank < query_.ranks; ++rank)
    for (std::uint32_t id = 0; id < blocks_; ++id) {
      if (!has(query_, true, rank, id)) continue;
      const Operand operand = output(block(id));
      if (cells_[cells_of(rank, operand)[0]] != expected(query_, id))
        return "rank " + std::to_string(rank) + " output block " + std::to_string(id) + " is wrong";
    }
  return {};
}

}  // namespace hansa::test
