#include "core/communicator.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <new>
#include <system_error>

#include "base/config.hpp"
#include "base/log.hpp"
#include "base/wait.hpp"
#include "core/factor.hpp"
#include "core/factory.hpp"
#include "tuner/tuner.hpp"

namespace hansa {
namespace {

constexpr std::chrono::seconds kFlush{60}, kLastBytes{2};

}  // namespace

Communicator::Communicator(const CommunicatorOptions& options) : options_(options) {}

Communicator::~Communicator() {
  if (shared_.load(std::memory_order_acquire)) progress().forget(*this);
  cancelled_.store(true, std::memory_order_release);
  if (connector_.joinable()) connector_.join();
  if (parent_) give_up_place();
  if (session_) session_->leave();
}

void Communicator::connect_in_background() {
  connector_ = std::thread([this] {
    if (Status status = connect(); !status.ok()) fail(status);
  });
}

Status Communicator::connect() {
  const LogRank rank(options_.rank);
  Status status;
  try {
    status = meet();
  } catch (const std::bad_alloc&) {
    status = Status(Code::kSystem,
                    "out of memory while connecting: RLIMIT_AS or the memory cgroup may be too low");
  } catch (const std::system_error& error) {
    status = Status(Code::kSystem,
                    fmt::format("a thread cannot be started: {}; RLIMIT_NPROC or the pids cgroup may be "
                                "too low",
                                error.what()));
  }
  // The others would wait for this rank until their time is over.
  if (Session* session = joined_.load(std::memory_order_acquire); session && !status.ok())
    session->raise(status.code() == Code::kRemote
                       ? status
                       : Status(Code::kRemote,
                                fmt::format("rank {} could not join: {}", options_.rank, status.message())));
  return status;
}

Status Communicator::meet() {
  HANSA_RETURN_IF_ERROR(check_wish(config().algorithm));
  if (parent_) HANSA_RETURN_IF_ERROR(find_place());
  if (absent()) {
    connected_();
    return {};
  }
  const LogRank seated(options_.rank);
  if (options_.ranks > 1) {
    const SessionOptions session = session_options();
    HANSA_ASSIGN_OR_RETURN(session_, join(options_.id, options_.rank, options_.ranks, session));
    joined_.store(session_.get(), std::memory_order_release);
    left_ = std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(options_.ranks));
    session_->watch({[this](const Status& reason) { fail(reason); },
                     [this](Rank rank) {
                       left_[static_cast<std::size_t>(rank)].store(true, std::memory_order_release);
                       any_left_.store(true, std::memory_order_release);
                     }});
  }
  HANSA_RETURN_IF_ERROR(connect_peers());
  State connecting = State::kConnecting;
  state_.compare_exchange_strong(connecting, State::kReady);
  HANSA_RETURN_IF_ERROR(failure());
  if (connected_) connected_();
  return {};
}

SessionOptions Communicator::session_options() const {
  SessionOptions session;
  session.interface = config().interface;
  session.port_first = config().port_range.first;
  session.port_last = config().port_range.last;
  session.timeout = config().init_patience();
  session.host_id = config().host_id;
  session.cancelled = &cancelled_;
  return session;
}

void Communicator::descend_from(HandleTable<Communicator>::Lease parent, const SplitWish& wish,
                                std::function<void()> connected) {
  ticket_ = parent->divisions_.enter();
  parent_ = std::move(parent);
  wish_ = wish;
  connected_ = std::move(connected);
}

Status Communicator::find_place() {
  if (!parent_->divisions_.await(ticket_, cancelled_))
    return Status(Code::kAborted, "given up: this rank's communicator was aborted meanwhile");
  Result<Seating> place = Seating{{}, wish_.color < 0 ? -1 : 0, 1};
  if (parent_->session_) place = divide(*parent_->session_, wish_, session_options());
  parent_->divisions_.leave();
  parent_ = {};
  HANSA_RETURN_IF_ERROR(place.status());
  options_.id = place.value().id;
  options_.rank = place.value().rank;
  options_.ranks = std::max(place.value().ranks, 1);
  return {};
}

// Its turn in the parent's queue must pass all the same.
void Communicator::give_up_place() {
  const std::atomic<bool> never{false};
  (void)parent_->divisions_.await(ticket_, never);
  parent_->divisions_.leave();
}

bool Communicator::several_hosts() const {
  const std::vector<Member>& members = session_->members();
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.host != members.front().host; });
}

Status Communicator::connect_peers() {
  PlanCache::Reach reach{std::size_t{1} << 20, true};
  std::span<Endpoint* const> endpoints;
  if (session_) {
    TransportOptions options;
    options.rank = options_.rank;
    options.ranks = options_.ranks;
    options.lanes = 2 * kReturnLanes;
    options.communicator = session_->number();
    options.memory = &host_memory();
    // A peer that does not answer is to be blamed before all others lose their patience with this rank.
    options.patience = std::min(options.patience, config().init_patience() / 4);
    options.cancelled = &cancelled_;
    // On one host the loopback interface is the safest; beyond it, what the ranks have met on.
    std::string address;
    if (several_hosts()) {
      HANSA_ASSIGN_OR_RETURN(address, session_->address());
      options.interface = address;
    }
    HANSA_ASSIGN_OR_RETURN(connections_, Connections::open(*session_, options, config().transport));
    endpoints = connections_->endpoints();
    HANSA_RETURN_IF_ERROR(agree_on_reach(endpoints, reach));
    HANSA_INFO("communicator of {} ranks ready: {}{}; {}", options_.ranks, connections_->summary(),
               reach.direct ? ", large messages in one copy" : "",
               crowded_ ? "more ranks than cores here" : "a core for every rank here");
  }
  plans_.emplace(options_.rank, options_.ranks, endpoints, reach, config().algorithm, host_combine_function(),
                 [this] { return connections_->poll(); });
  return {};
}

namespace {

// What ranks tell each other before they start.
struct Facts {
  std::uint64_t message_bytes, direct, wishes;
  cpu_set_t cores;
};

}  // namespace

// Also the barrier after which traffic may start.
Status Communicator::agree_on_reach(std::span<Endpoint* const> endpoints, PlanCache::Reach& reach) {
  for (const Endpoint* endpoint : endpoints)
    if (endpoint) {
      reach.message_bytes = std::min(reach.message_bytes, endpoint->capabilities().message_bytes());
      reach.direct = reach.direct && endpoint->capabilities().direct;
    }
  Facts mine{reach.message_bytes, reach.direct, std::hash<std::string>()(config().algorithm), {}};
  sched_getaffinity(0, sizeof mine.cores, &mine.cores);
  HANSA_ASSIGN_OR_RETURN(const auto everyone, session_->allgather(std::as_bytes(std::span(&mine, 1))));
  const std::vector<Member>& members = session_->members();
  int neighbours = 0;
  cpu_set_t cores = mine.cores;
  for (std::size_t rank = 0; rank < everyone.size(); ++rank) {
    Facts theirs;
    if (everyone[rank].size() != sizeof theirs)
      return Status(Code::kInvalidUsage, fmt::format("rank {} runs another version of this library", rank));
    std::memcpy(&theirs, everyone[rank].data(), sizeof theirs);
    if (theirs.wishes != mine.wishes)
      return Status(Code::kInvalidUsage,
                    fmt::format("rank {} has another HANSA_ALGORITHM than rank {}: set the same for all",
                                rank, options_.rank));
    reach.message_bytes = std::min<std::size_t>(reach.message_bytes, theirs.message_bytes);
    reach.direct = reach.direct && theirs.direct != 0;
    if (members[rank].host != members[static_cast<std::size_t>(options_.rank)].host) continue;
    ++neighbours;
    CPU_OR(&cores, &cores, &theirs.cores);
  }
  crowded_ = neighbours > CPU_COUNT(&cores);
  return {};
}

Status Communicator::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return {};
  const std::scoped_lock lock(failure_mutex_);
  return failure_;
}

void Communicator::fail(const Status& reason) {
  const std::scoped_lock lock(failure_mutex_);
  if (failed_.load(std::memory_order_relaxed)) return;
  failure_ = reason;
  failed_.store(true, std::memory_order_release);
  cancelled_.store(true, std::memory_order_release);
  state_.store(State::kFailed, std::memory_order_release);
}

void Communicator::raise(const Status& reason) {
  fail(reason);
  if (Session* session = joined_.load(std::memory_order_acquire)) session->raise(reason);
}

void Communicator::set_finalizing() noexcept {
  State ready = State::kReady;
  state_.compare_exchange_strong(ready, State::kFinalizing);
}

void Communicator::begin(Operation& operation) try {
  operation.done = false;
  operation.execution = nullptr;
  operation.result = failure();
  if (operation.result.ok()) {
    const bool collective = operation.kind == Operation::Kind::kCollective;
    if (collective) complete_tables(operation);
    operation.result = plans_->start(operation, collective ? ++collectives_ : 0);
    if (!operation.result.ok())
      raise(operation.result);  // the others would wait for a rank that does not come
  }
  operation.done = !operation.result.ok();
} catch (const std::bad_alloc&) {
  operation.result = Status(Code::kSystem, "out of memory");
  operation.done = true;
  raise(operation.result);
}

void Communicator::end(Operation& operation, const Status& result) {
  operation.result = result;
  operation.done = true;
  if (result.ok()) return;
  raise(result);
  // The caller may free its buffers now; no peer may reach them any more.
  if (connections_ && operation.execution->plan().direct) connections_->quiesce();
}

// A copy that fails tells only that a peer is gone; control knows who and why, if a moment later.
Status Communicator::better_known(const Status& result) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (!failed_.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const Status known = failure();
  return known.ok() ? result : known;
}

bool Communicator::advance(Operation& operation) {
  if (operation.done) return false;
  std::unique_lock<std::mutex> turn;
  if (shared_.load(std::memory_order_acquire)) turn = std::unique_lock(turn_);
  bool any = true;
  try {
    any = advance_alone(operation);
  } catch (const std::bad_alloc&) {
    end(operation, Status(Code::kSystem, "out of memory: RLIMIT_AS or the memory cgroup may be too low"));
  }
  const bool leftovers = operation.done && connections_ && !connections_->idle();
  if (turn) turn.unlock();
  if (leftovers) hand_over_leftovers();
  return any;
}

void Communicator::hand_over_leftovers() {
  if (shared_.exchange(true, std::memory_order_acq_rel)) return progress().wake();
  if (Status status = progress().look_after(*this); !status.ok()) raise(status);
}

// Bounded because a peer that has left needs no more of what is left here.
void Communicator::flush() {
  if (!shared_.load(std::memory_order_acquire)) return;
  const auto deadline = std::chrono::steady_clock::now() + kFlush;
  Waiter waiter(true);
  while (move_leftovers() && std::chrono::steady_clock::now() < deadline) waiter.idle();
}

bool Communicator::move_leftovers() {
  const std::unique_lock turn(turn_);
  if (failed_.load(std::memory_order_acquire) || connections_->idle()) return false;
  (void)connections_->poll();
  return !connections_->idle();
}

bool Communicator::advance_alone(Operation& operation) {
  bool any = operation.execution->advance(failed_);
  if (operation.execution->done()) {
    const Status& result = operation.execution->failure();
    end(operation, result.code() == Code::kRemote ? better_known(result) : result);
    return true;
  }
  if (failed_.load(std::memory_order_acquire)) {
    end(operation, failure());
    return true;
  }
  if (!connections_) return any;
  any = connections_->poll() || any;
  if (any) stuck_since_ = {};
  if (any) return true;
  if (any_left_.load(std::memory_order_acquire))
    if (const Status left = look_for_left(operation); !left.ok()) raise(left);
  if (const Status status = connections_->status(); !status.ok())
    raise(status.code() == Code::kRemote ? better_known(status) : status);
  return false;
}

// Who leaves has sent all it ever will, but the last of it may still be on its way.
Status Communicator::look_for_left(const Operation& operation) {
  const Rank missed = operation.execution->waits_for(
      [this](Rank rank) { return left_[static_cast<std::size_t>(rank)].load(std::memory_order_acquire); });
  const auto now = std::chrono::steady_clock::now();
  if (missed < 0)
    stuck_since_ = {};
  else if (stuck_since_ == std::chrono::steady_clock::time_point())
    stuck_since_ = now;
  else if (now - stuck_since_ > kLastBytes)
    return Status(
        Code::kRemote,
        fmt::format("rank {} has left the communicator, but rank {} still waits for it: do all ranks "
                    "make the same calls before ncclCommDestroy?",
                    missed, options_.rank));
  return {};
}

void Communicator::complete_tables(Operation& operation) const {
  Request& request = operation.request;
  if (request.receive_counts == nullptr || request.receive_offsets != nullptr) return;
  // Blocks one after the other in rank order.
  const auto n = static_cast<std::size_t>(options_.ranks);
  operation.tables.resize(std::max(operation.tables.capacity(), 4 * n));
  std::size_t* offsets = operation.tables.data() + operation.tables.size() - n;
  std::size_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    offsets[i] = sum;
    sum += request.receive_counts[i];
  }
  request.receive_offsets = offsets;
}

int Communicator::create_operator(DataType type, const void* scalar, bool immediate) {
  const int handle = next_operator();
  operators_[handle] = {type, immediate ? read_factor(type, scalar) : Factor(), immediate ? nullptr : scalar};
  return handle;
}

Status Communicator::destroy_operator(int handle) {
  if (operators_.erase(handle) == 1) return {};
  return Status(Code::kInvalidArgument,
                fmt::format("operator {} is no user-defined operator of this communicator", handle));
}

Status Communicator::resolve_operator(int handle, Request& request) const {
  const auto found = operators_.find(handle);
  if (found == operators_.end())
    return Status(Code::kInvalidArgument,
                  fmt::format("operator {} is no operator of this communicator: create it with "
                              "ncclRedOpCreatePreMulSum on the same communicator",
                              handle));
  const UserOperator& user = found->second;
  if (user.type != request.type)
    return Status(Code::kInvalidArgument, fmt::format("operator {} was created for {}, not for {}", handle,
                                                      name_of(user.type), name_of(request.type)));
  request.op = ReduceOp::kPreMulSum;
  request.factor = user.factor;
  request.factor_address = user.address;
  return {};
}

}  // namespace hansa
