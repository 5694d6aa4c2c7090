#include "tests/support/cluster.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace hansa::test {
namespace {

constexpr std::size_t kGuard = 16;  // elements before and after each buffer
constexpr std::int32_t kGuardValue = -77777, kStale = -55555;

std::size_t index(Rank rank) { return static_cast<std::size_t>(rank); }

std::int32_t contribution(Rank rank, std::size_t i) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(rank + 1) * 2654435761u ^
                                   static_cast<std::uint32_t>(i) * 40503u) >>
         6;
}

template <class T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "cluster: %s\n", result.status().c_str());
    std::abort();
  }
  return std::move(result).value();
}

}  // namespace

Cluster::Cluster(Rank ranks, const Open& open, std::uint16_t lanes) {
  TransportOptions options;
  options.ranks = ranks;
  options.lanes = lanes;
  static std::uint64_t communicator = 0x1000;
  options.communicator = ++communicator;
  for (Rank rank = 0; rank < ranks; ++rank) {
    options.rank = rank;
    transports_.push_back(must(open(options)));
  }
  std::vector<std::vector<std::byte>> addresses;
  for (const auto& transport : transports_) addresses.push_back(transport->address());
  owned_.resize(index(ranks));
  endpoints_.resize(index(ranks));
  for (Rank rank = 0; rank < ranks; ++rank)
    for (Rank peer = 0; peer < ranks; ++peer) {
      auto& owned = owned_[index(rank)].emplace_back();
      if (peer != rank) owned = must(transports_[index(rank)]->connect(peer, addresses[index(peer)]));
      endpoints_[index(rank)].push_back(owned.get());
    }
}

Cluster::~Cluster() = default;

std::size_t Cluster::message_bytes() const { return transports_.front()->capabilities().message_bytes(); }

std::function<bool()> Cluster::poll(Rank rank) {
  return [this, rank] { return transports_[index(rank)]->poll(); };
}

bool Cluster::run(std::vector<std::unique_ptr<Execution>>& executions, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::atomic<bool> never{false};
  std::vector<std::size_t> order(executions.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (std::uint64_t round = 0; round < 2'000'000; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    bool done = true;
    for (const std::size_t rank : order) {
      if (random() % 4 == 0) continue;  // a rank that is late
      transports_[rank]->poll();
      executions[rank]->advance(never);
    }
    for (const auto& execution : executions) done = done && execution->done();
    if (done) return true;
  }
  return false;
}

Exercise::Exercise(const Query& query, std::size_t elements, bool in_place)
    : query_(query),
      elements_(elements),
      in_place_(in_place),
      inputs_(index(query.ranks)),
      outputs_(index(query.ranks)) {
  for (Rank rank = 0; rank < query.ranks; ++rank) {
    const std::size_t in = input_elements(rank), out = output_elements(rank);
    auto& output = outputs_[index(rank)];
    output.assign(2 * kGuard + std::max(in, out), kStale);
    auto& input = inputs_[index(rank)];
    input.assign(2 * kGuard + in, kGuardValue);
    std::fill_n(output.begin(), kGuard, kGuardValue);
    std::fill(output.end() - kGuard, output.end(), kGuardValue);
    for (std::size_t i = 0; i < in; ++i) input[kGuard + i] = contribution(rank, i);
    if (in_place)
      std::copy_n(input.begin() + kGuard, in,
                  output.begin() + static_cast<std::ptrdiff_t>(input_start(rank)));
  }
}

std::size_t Exercise::input_elements(Rank rank) const {
  const std::size_t n = index(query_.ranks);
  switch (query_.collective) {
    case Collective::kReduceScatter:
    case Collective::kAllToAll:
      return elements_ * n;
    case Collective::kScatter:
      return rank == query_.root ? elements_ * n : 0;
    case Collective::kBroadcast:
      return rank == query_.root ? elements_ : 0;
    default:
      return elements_;
  }
}

std::size_t Exercise::output_elements(Rank rank) const {
  const std::size_t n = index(query_.ranks);
  switch (query_.collective) {
    case Collective::kAllGather:
    case Collective::kAllToAll:
      return elements_ * n;
    case Collective::kGather:
      return rank == query_.root ? elements_ * n : 0;
    case Collective::kReduce:
      return rank == query_.root ? elements_ : 0;
    default:
      return elements_;
  }
}

std::ptrdiff_t Exercise::offset(Rank rank) const {
  const auto share = static_cast<std::ptrdiff_t>(elements_) * rank;
  switch (query_.collective) {
    case Collective::kAllGather:
      return share;
    case Collective::kGather:
      return rank == query_.root ? share : 0;
    case Collective::kReduceScatter:
      return -share;
    case Collective::kScatter:
      return rank == query_.root ? -share : 0;
    default:
      return 0;
  }
}

std::size_t Exercise::input_start(Rank rank) const {
  return kGuard + static_cast<std::size_t>(in_place_ ? std::max<std::ptrdiff_t>(offset(rank), 0) : 0);
}

std::size_t Exercise::output_start(Rank rank) const {
  return kGuard + static_cast<std::size_t>(in_place_ ? std::max<std::ptrdiff_t>(-offset(rank), 0) : 0);
}

BlockMap Exercise::map(Rank rank, std::uint32_t blocks) const {
  const auto n = static_cast<std::uint32_t>(query_.ranks), self = static_cast<std::uint32_t>(rank);
  switch (query_.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      return BlockMap::uniform(elements_, {self}, {0});
    case Collective::kReduceScatter:
    case Collective::kScatter:
      return BlockMap::uniform(elements_, {0}, {self});
    case Collective::kAllToAll:
      return BlockMap::uniform(elements_, {self * n, 1}, {self, n});
    default:
      return BlockMap::split(elements_, blocks);
  }
}

Call Exercise::call(Rank rank, const Plan& plan, std::size_t message_bytes) const {
  Call call;
  const auto& in = in_place_ ? outputs_[index(rank)] : inputs_[index(rank)];
  if (input_elements(rank) > 0)
    call.input = reinterpret_cast<const std::byte*>(in.data() + input_start(rank));
  if (output_elements(rank) > 0)
    call.output = reinterpret_cast<std::byte*>(const_cast<std::int32_t*>(outputs_[index(rank)].data()) +
                                               output_start(rank));
  call.map = map(rank, plan.schedule.blocks);
  call.type = DataType::kInt32;
  call.chunk = chunk_elements(plan.schedule.largest_message, sizeof(std::int32_t), message_bytes);
  call.stamp = 0x1234;
  return call;
}

std::int32_t Exercise::expected(Rank rank, std::size_t i) const {
  if (reduces(query_.collective)) {
    if (query_.collective == Collective::kReduceScatter) i += elements_ * index(rank);
    std::uint32_t sum = 0;
    for (Rank r = 0; r < query_.ranks; ++r) sum += static_cast<std::uint32_t>(contribution(r, i));
    return static_cast<std::int32_t>(sum);
  }
  switch (query_.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      return contribution(static_cast<Rank>(i / elements_), i % elements_);
    case Collective::kAllToAll:
      return contribution(static_cast<Rank>(i / elements_), i % elements_ + elements_ * index(rank));
    case Collective::kScatter:
      return contribution(query_.root, i + elements_ * index(rank));
    default:
      return contribution(query_.root, i);
  }
}

std::string Exercise::judge() const {
  for (Rank rank = 0; rank < query_.ranks; ++rank) {
    const auto& out = outputs_[index(rank)];
    const auto at = [&](std::size_t i) { return out[output_start(rank) + i]; };
    for (std::size_t i = 0; i < output_elements(rank); ++i)
      if (at(i) != expected(rank, i))
        return "rank " + std::to_string(rank) + ": element " + std::to_string(i) + " is " +
               std::to_string(at(i)) + ", not " + std::to_string(expected(rank, i));
    for (std::size_t i = 0; i < kGuard; ++i)
      if (out[i] != kGuardValue || out[out.size() - 1 - i] != kGuardValue)
        return "rank " + std::to_string(rank) + ": wrote outside its buffer";
    const auto& in = inputs_[index(rank)];
    for (std::size_t i = 0; i < input_elements(rank); ++i)
      if (in[kGuard + i] != contribution(rank, i))
        return "rank " + std::to_string(rank) + ": its input was changed";
  }
  return {};
}

}  // namespace hansa::test
