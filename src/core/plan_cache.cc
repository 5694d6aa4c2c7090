#include "core/plan_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/factor.hpp"
#include "core/log_entry.hpp"
#include "hansa/plan.hpp"
#include "tuner/tuner.hpp"

namespace hansa {
namespace {

// Two fields that differ give different words with all but certainty.
class Signature {
 public:
  Signature& add(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 32;
    return *this;
  }
  std::uint32_t word() const { return static_cast<std::uint32_t>(hash_); }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

// Making a direct plan looks at all ranks' schedules.
constexpr Rank kMostDirectRanks = 64;

// Bytes that all ranks together touch in one call from which stores had better go past the caches: what
// processors say of their caches is of no use in virtual machines. Measured: 30 % faster from 64 MiB on with
// an L3 of 32 MiB, a few per cent slower up to 128 MiB with a larger one, twice as fast beyond.
constexpr std::size_t kStreamedFootprint = std::size_t{48} << 20;
// Each chunk of a direct plan costs some messages, which shorter ones would not be worth.
constexpr std::size_t kLeastCut = std::size_t{256} * 1024;

// Of a rank's depot, and of one message in it: what is left there is to be in a cache when it is read. Where
// many steps send, messages are as short as go directly, and the depot larger.
constexpr std::size_t kDepot = std::size_t{2} << 20, kMostDeposit = std::size_t{128} * 1024;

std::size_t deposit_bytes(const Plan& plan) {
  const std::size_t places = std::max(plan.most_senders, 1u) * DirectMessages::kDeposits;
  return std::clamp(kDepot / places, kDirectBytes, kMostDeposit);
}

constexpr std::uint32_t kMessageStamp = 0x5e4dec5eu;  // sends and receives agree on their bytes only

// The bytes that algorithm choice goes by; see choose().
std::size_t whole_bytes(const Request& request, Rank ranks) {
  const std::size_t element = size_of(request.type), n = static_cast<std::size_t>(ranks);
  switch (request.collective) {
    case Collective::kAllGather:
    case Collective::kReduceScatter:
    case Collective::kAllToAll:
    case Collective::kGather:
    case Collective::kScatter:
      return request.count * n * element;
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV:
      return std::accumulate(request.receive_counts, request.receive_counts + n, std::size_t{0}) * element;
    case Collective::kAllToAllV:
    case Collective::kBarrier:
      return 0;
    default:
      return request.count * element;
  }
}

// What all ranks must agree on but the call's number.
std::uint32_t signature_of(const Request& request, Rank ranks) {
  Signature signature;
  signature.add(static_cast<std::uint64_t>(request.collective)).add(static_cast<std::uint64_t>(request.type));
  if (reduces(request.collective)) signature.add(static_cast<std::uint64_t>(request.op));
  if (rooted(request.collective)) signature.add(static_cast<std::uint64_t>(request.root));
  if (request.collective == Collective::kAllGatherV || request.collective == Collective::kReduceScatterV)
    for (Rank rank = 0; rank < ranks; ++rank) signature.add(request.receive_counts[rank]);
  else if (request.collective != Collective::kAllToAllV)
    signature.add(whole_bytes(request, ranks));
  return signature.word();
}

}  // namespace

PlanCache::PlanCache(Rank self, Rank ranks, std::span<Endpoint* const> endpoints, const Reach& reach,
                     std::string wish, CombineChooser choose, std::function<bool()> poll, Memory& memory)
    : self_(self),
      ranks_(ranks),
      endpoints_(endpoints),
      reach_(reach),
      wish_(std::move(wish)),
      choose_(choose),
      poll_(std::move(poll)),
      streams_from_(kStreamedFootprint / static_cast<std::size_t>(ranks)),
      workspace_(std::make_shared<Workspace>(&memory)) {}

Plan PlanCache::make_plan(const Algorithm& algorithm, const Query& query, bool direct) const {
  if (direct && ranks_ > 1) {
    std::vector<Schedule> by_rank;
    for (Rank rank = 0; rank < ranks_; ++rank) by_rank.push_back(algorithm.build(query, rank));
    if (auto plan = lower_direct(by_rank, self_)) return *std::move(plan);
  }
  return lower(algorithm.build(query, self_));
}

Result<Execution*> PlanCache::collective_plan(Operation& operation) {
  const Request& request = operation.request;
  const bool direct = reach_.direct && ranks_ <= kMostDirectRanks;
  const Reached reached = !direct           ? Reached::kBySlots
                          : reach_.deposits ? Reached::kInDepots
                                            : Reached::kInMemory;
  Query query{request.collective, ranks_, rooted(request.collective) ? request.root : 0, 2, reach_.levels};
  HANSA_ASSIGN_OR_RETURN(const Algorithm* algorithm, choose(query, operation.bytes, reached, wish_));
  operation.algorithm = algorithm;
  const Recipe recipe{algorithm, query.root, direct};
  if (Execution* found = collectives_.find(recipe)) return found;
  query.collective = algorithm->collective;
  if (collectives_.full())  // one goes, and what is remembered of it
    for (KnownCall& known : known_) known.what = KnownCall::kNothing;
  return collectives_.put(recipe, execution_of(make_plan(*algorithm, query, direct)));
}

std::unique_ptr<Execution> PlanCache::execution_of(Plan plan) const {
  return std::make_unique<Execution>(std::move(plan), endpoints_, choose_, poll_, workspace_);
}

BlockMap PlanCache::map_of(const Request& request, std::uint32_t blocks) {
  const auto n = static_cast<std::uint32_t>(ranks_), self = static_cast<std::uint32_t>(self_);
  switch (request.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      return BlockMap::uniform(request.count, {self}, {0});
    case Collective::kReduceScatter:
    case Collective::kScatter:
      return BlockMap::uniform(request.count, {0}, {self});
    case Collective::kAllToAll:
      return BlockMap::uniform(request.count, {self * n, 1}, {self, n});
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV: {
      // The one of this rank's blocks stands at the start of the other buffer.
      tables_.assign(1, 0);
      const std::size_t* counts = request.receive_counts;
      const BlockMap::Layout whole{0, 1, counts, request.receive_offsets},
          own{self, 1, counts + self, tables_.data()};
      const std::size_t most = *std::max_element(counts, counts + n);
      return request.collective == Collective::kAllGatherV ? BlockMap::table(own, whole, counts, most)
                                                           : BlockMap::table(whole, own, counts, most);
    }
    case Collective::kAllToAllV: {
      const std::size_t most =
          std::max(*std::max_element(request.send_counts, request.send_counts + n),
                   *std::max_element(request.receive_counts, request.receive_counts + n));
      return BlockMap::table({self * n, 1, request.send_counts, request.send_offsets},
                             {self, n, request.receive_counts, request.receive_offsets}, nullptr, most);
    }
    default:
      return BlockMap::split(request.count, blocks);
  }
}

Status PlanCache::bind(Operation& operation, KnownCall& known) {
  const Request& request = operation.request;
  operation.bytes = whole_bytes(request, ranks_);
  known.what = KnownCall::kNothing;
  Call call;
  call.type = request.type;
  call.op = request.op;
  if (request.op == ReduceOp::kAvg && is_float(request.type)) {
    call.premultiply = true;
    call.factor.real = 1.0 / ranks_;
  } else if (request.op == ReduceOp::kAvg) {
    call.divisor = ranks_;
  } else if (request.op == ReduceOp::kPreMulSum) {
    call.premultiply = true;
    call.factor = request.factor_address ? read_factor(request.type, request.factor_address) : request.factor;
  }
  HANSA_ASSIGN_OR_RETURN(Execution* const execution, collective_plan(operation));
  const Plan& plan = execution->plan();
  const std::uint32_t largest = plan.schedule.largest_message;
  if (largest * size_of(request.type) > reach_.message_bytes)
    return Status(
        Code::kUnsupported,
        fmt::format("a message of {} blocks does not fit the {} bytes of a channel: unset HANSA_ALGORITHM",
                    largest, reach_.message_bytes));
  call.map = map_of(request, plan.schedule.blocks);
  call.chunk = chunk_elements(largest, size_of(request.type), reach_.message_bytes);
  call.streams_from = streams_from_;
  call.deposits = reach_.deposits;
  if (reach_.deposits)
    call.direct_chunk = deposit_bytes(plan) / size_of(request.type);
  else if (reach_.copies_dear && reach_.message_bytes >= kLeastCut)
    call.direct_chunk = call.chunk;
  execution->bind(call, known.bound);
  known.signature = signature_of(request, ranks_);
  known.execution = execution;
  return {};
}

// Only what Communicator::check() has found right comes here.
void PlanCache::note_buffers(const Request& request, KnownCall& known) const {
  const std::size_t share = request.count * size_of(request.type),
                    whole = share * static_cast<std::size_t>(ranks_),
                    own = share * static_cast<std::size_t>(self_);
  known.set_bytes(share, share);
  known.in_place = 0;
  switch (request.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      known.set_bytes(share, whole);
      known.in_place = 0 - own;
      break;
    case Collective::kReduceScatter:
    case Collective::kScatter:
      known.set_bytes(whole, share);
      known.in_place = own;
      break;
    case Collective::kAllToAll:
      known.set_bytes(whole, whole);
      known.in_place = KnownCall::kNowhere;
      break;
    default:
      break;
  }
}

Result<KnownCall*> PlanCache::know(Operation& operation) {
  const Request& request = operation.request;
  if (KnownCall* const known = find(request.what(), request.count)) return known;
  const bool varies = request.receive_counts != nullptr || request.op == ReduceOp::kPreMulSum;
  KnownCall& known = varies ? passing_ : place_of(request.what(), request.count);
  HANSA_RETURN_IF_ERROR(bind(operation, known));
  known.entry = log_entry(operation, ranks_);
  if (!varies) {
    note_buffers(request, known);
    known.what = request.what();
    known.count = request.count;
  }
  return &known;
}

Status PlanCache::start(Operation& operation) {
  if (operation.kind == Operation::Kind::kPointToPoint) return start_messages(operation);
  HANSA_ASSIGN_OR_RETURN(KnownCall* const known, know(operation));
  operation.execution = known->execution;
  operation.entry = &known->entry;
  known->start(operation.request.input, operation.request.output, operation.number);
  return {};
}

Result<Execution*> PlanCache::message_plan(const std::vector<PointToPoint>& messages) {
  if (Execution* found = messages_.find(messages)) return found;
  // A message to this rank itself is a copy: its n-th send meets its n-th receive.
  std::vector<std::uint32_t> own_sends, own_receives;
  Builder builder(ranks_, static_cast<std::uint32_t>(messages.size()));
  for (std::uint32_t i = 0; i < messages.size(); ++i) {
    const PointToPoint& message = messages[i];
    if (message.peer == self_) (message.send ? own_sends : own_receives).push_back(i);
  }
  builder.begin_repeat(1, 0);  // sends and receives wait for nothing but their channels
  for (std::uint32_t i = 0; i < messages.size(); ++i) {
    const PointToPoint& message = messages[i];
    if (message.peer == self_) continue;
    if (message.send)
      builder.combine({input(block(i))}, {peer(message.peer, block(i))});
    else
      builder.combine({peer(message.peer, block(i))}, {output(block(i))});
  }
  for (std::size_t k = 0; k < own_sends.size(); ++k)
    builder.combine({input(block(own_sends[k]))}, {output(block(own_receives[k]))});
  builder.end_repeat();
  Pattern pattern;
  for (const PointToPoint& message : messages) pattern.sends.emplace_back(message.send, message.peer);
  return messages_.put(std::move(pattern),
                       execution_of(lower(std::move(builder).build(), {ChunkOrder::kStepMajor, 1})));
}

bool PlanCache::Pattern::operator==(const std::vector<PointToPoint>& messages) const {
  return std::equal(sends.begin(), sends.end(), messages.begin(), messages.end(),
                    [](const std::pair<bool, Rank>& mine, const PointToPoint& asked) {
                      return mine.first == asked.send && mine.second == asked.peer;
                    });
}

Status PlanCache::check_own_messages(const std::vector<PointToPoint>& messages) const {
  std::vector<std::size_t> sent, received;
  for (const PointToPoint& message : messages)
    if (message.peer == self_) (message.send ? sent : received).push_back(message.bytes);
  for (std::size_t i = 0; i < sent.size(); ++i)
    if (sent[i] != received[i])
      return Status(Code::kInvalidUsage,
                    fmt::format("rank {} sends itself {} bytes and receives {}: counts must match", self_,
                                sent[i], received[i]));
  return {};
}

Status PlanCache::start_messages(Operation& operation) {
  HANSA_ASSIGN_OR_RETURN(operation.execution, message_plan(operation.messages));
  // Addresses stand in for offsets: the buffers of a group have no common start.
  const std::size_t n = operation.messages.size();
  tables_.resize(2 * n);
  std::size_t most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    tables_[i] = operation.messages[i].bytes;
    tables_[n + i] = reinterpret_cast<std::size_t>(operation.messages[i].address);
    most = std::max(most, tables_[i]);
  }
  HANSA_RETURN_IF_ERROR(check_own_messages(operation.messages));
  Call call;
  const BlockMap::Layout layout{0, 1, tables_.data(), tables_.data() + n};
  call.map = BlockMap::table(layout, layout, tables_.data(), most);
  call.stamp = kMessageStamp;
  call.chunk = chunk_elements(1, 1, reach_.message_bytes);
  operation.execution->start(call);
  return {};
}

void Operation::own_tables(Rank ranks) {
  const auto n = static_cast<std::size_t>(ranks);
  const std::size_t** const all[] = {&request.send_counts, &request.send_offsets, &request.receive_counts,
                                     &request.receive_offsets};
  tables.clear();
  tables.reserve(4 * n);
  for (const std::size_t** table : all) {
    if (*table == nullptr) continue;
    const std::size_t at = tables.size();
    tables.insert(tables.end(), *table, *table + n);
    *table = tables.data() + at;
  }
}

}  // namespace hansa
