#include "core/communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "base/config.hpp"
#include "base/wait.hpp"
#include "core/factor.hpp"
#include "core/factory.hpp"
#include "core/log_entry.hpp"

namespace hansa {
namespace {

constexpr std::chrono::seconds kFlush{60}, kFlushUnanswered{1}, kLastBytes{2};
constexpr int kLastLooks = 16;                   // of a caller whose operation is done
constexpr std::chrono::milliseconds kWord{500};  // from control, of who has died
// For writing to HANSA_DUMP: before a call returns its failure, and before the communicator goes.
constexpr std::chrono::milliseconds kDumpAtFailure{500}, kDumpAtEnd{2000};

}  // namespace

Communicator::Communicator(const CommunicatorOptions& options)
    : options_(options), limit_(config().timeout), late_report_(config().late_report) {}

Communicator::~Communicator() {
  if (shared_.load(std::memory_order_acquire)) progress().forget(*this);
  cancelled_.store(true, std::memory_order_release);
  if (connector_.joinable()) connector_.join();
  ticket_.reset();  // before the parent goes
  if (failed_.load(std::memory_order_acquire)) failure_dump().await(kDumpAtEnd);
  if (invitation_) discard_unique_id(*invitation_);
  if (one_sided_ && failed_.load(std::memory_order_acquire)) one_sided_->abandon();
  // Late puts would hit what the program makes of the memory, and late messages what executions leave behind.
  if (connections_ && (one_sided_ || failed_.load(std::memory_order_acquire))) connections_->quiesce();
  if (session_) session_->leave();
}

std::size_t Communicator::memory_bytes() const {
  return sizeof *this + (connections_ ? connections_->memory_bytes() : 0) +
         (plans_ ? plans_->memory_bytes() : 0);
}

Status Communicator::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return {};
  const std::scoped_lock lock(failure_mutex_);
  return failure_;
}

bool Communicator::fail(const Status& reason) {
  const std::scoped_lock lock(failure_mutex_);
  if (failed_.load(std::memory_order_relaxed)) return false;
  failure_ = reason;
  failed_.store(true, std::memory_order_release);
  cancelled_.store(true, std::memory_order_release);
  state_.store(State::kFailed, std::memory_order_release);
  log_state();
  if (control::LogbookSection* const section = log()) section->set_failure(reason.message());
  if (!given_up_.load(std::memory_order_acquire)) failure_dump().start(reason.message());
  return true;
}

void Communicator::raise(const Status& reason) {
  (void)fail(reason);
  if (Session* session = joined_.load(std::memory_order_acquire)) session->raise(reason);
}

void Communicator::give_up(const Status& reason) {
  given_up_.store(true, std::memory_order_release);
  raise(reason);
}

void Communicator::revoke() {
  given_up_.store(true, std::memory_order_release);
  if (fail(Status(Code::kInvalidUsage, "this rank has called ncclCommRevoke")))
    revoked_in_order_.store(true, std::memory_order_release);
  state_.store(State::kRevoked, std::memory_order_release);
  log_state();
  if (Session* session = joined_.load(std::memory_order_acquire))
    session->raise(Status(Code::kRemote, fmt::format("rank {} called ncclCommRevoke", options_.rank)));
}

void Communicator::set_finalizing() noexcept {
  State ready = State::kReady;
  state_.compare_exchange_strong(ready, State::kFinalizing);
  log_state();
}

// From its beginning.
void Communicator::watch(Operation& operation) {
  operation.begun = true;
  operation.done = false;
  operation.result = Status();
  patience_.begin(late_report_,
                  operation.limit >= 0 ? operation.limit : limit_.load(std::memory_order_relaxed));
}

void Communicator::take_over(const KnownCall& call) {
  own_operation_.kind = Operation::Kind::kCollective;
  own_operation_.number = collectives_;
  own_operation_.limit = -1;
  own_operation_.execution = call.execution;
  watch(own_operation_);
}

void Communicator::begin(Operation& operation) try {
  control::LogbookSection* const section = log();
  const std::uint64_t started = section != nullptr ? ticks() : 0;
  watch(operation);
  operation.execution = nullptr;
  operation.result = failure();
  if (operation.result.ok()) {
    operation.result = start(operation);
    if (section != nullptr)
      section->begin(operation.entry ? *operation.entry : log_entry(operation, options_.ranks), started);
    if (!operation.result.ok())
      raise(operation.result);  // the others would wait for a rank that does not come
  }
  operation.done = !operation.result.ok() || is_empty(operation);
  if (operation.done && section != nullptr) section->end(!operation.result.ok());
} catch (const std::bad_alloc&) {
  operation.result = Status(Code::kSystem, "out of memory");
  operation.done = true;
  raise(operation.result);
}

Status Communicator::start(Operation& operation) {
  operation.entry = nullptr;
  operation.bytes = 0;
  operation.algorithm = nullptr;
  switch (operation.kind) {
    case Operation::Kind::kCollective:
      operation.number = ++collectives_;
      if (is_empty(operation)) return {};
      complete_tables(operation);
      return plans_->start(operation);
    case Operation::Kind::kPointToPoint:
      operation.number = ++message_groups_;
      return plans_->start(operation);
    default:
      operation.number = ++one_sided_groups_;
      return {};
  }
}

void Communicator::end(Operation& operation, const Status& result) {
  operation.done = true;
  log_end(log(), !result.ok());
  if (result.ok()) return;
  operation.result = result;
  raise(result);
  failure_dump().await(kDumpAtFailure);
  // The caller may free its buffers now; no peer may reach them any more.
  if (connections_ && (operation.execution == nullptr || operation.execution->exposes_memory()))
    connections_->quiesce();
}

// A copy that fails tells only that a peer is gone; control knows who and why, if a moment later.
Status Communicator::better_known(const Status& result, std::chrono::milliseconds patience) const {
  const auto deadline = std::chrono::steady_clock::now() + patience;
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
  const bool leftovers = operation.done && connections_ && !connections_->idle() && !settled();
  if (turn) turn.unlock();
  if (leftovers) hand_over_leftovers();
  return any;
}

// The last messages are most often gone at the next look or two; the progress thread would need a core for
// it.
bool Communicator::settled() {
  for (int looks = 0; looks < kLastLooks; ++looks) {
    const bool moved = connections_->poll();
    if (connections_->idle()) return true;
    if (!moved && awaits_peers_) return false;
  }
  return false;
}

void Communicator::hand_over_leftovers() {
  if (shared_.exchange(true, std::memory_order_acq_rel)) return progress().wake();
  if (Status status = progress().look_after(*this); !status.ok()) raise(status);
}

// Bounded because a peer that has left needs no more of what is left here.
void Communicator::flush() {
  if (!shared_.load(std::memory_order_acquire)) return;
  // What peers have not answered by then, the transport itself waits for a little at its end.
  const std::chrono::milliseconds patience = awaits_peers_ ? kFlushUnanswered : kFlush;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  Waiter waiter(true);
  while (move_leftovers() && std::chrono::steady_clock::now() < deadline) waiter.idle();
}

bool Communicator::move_leftovers() {
  const std::unique_lock turn(turn_);
  if (failed_.load(std::memory_order_acquire) || connections_->idle()) return false;
  (void)connections_->poll();
  return !connections_->idle();
}

// Puts and signals first, then all waits; true when all is over.
Result<bool> Communicator::advance_one_sided(Operation& operation, bool& any) {
  while (operation.next < operation.one_sided.size()) {
    const OneSidedCall& call = operation.one_sided[operation.next];
    if (call.kind != OneSidedCall::Kind::kWait && left_ &&
        left_[static_cast<std::size_t>(call.peer)].load(std::memory_order_acquire))
      return Status(Code::kRemote, fmt::format("rank {} has left the communicator", call.peer));
    HANSA_ASSIGN_OR_RETURN(const bool over, one_sided_->advance(call, operation.bytes_done, any));
    if (!over) return false;
    ++operation.next;
    operation.bytes_done = 0;
  }
  return true;
}

bool Communicator::advance_alone(Operation& operation) {
  bool any = false, over = false;
  Status result;
  if (operation.kind == Operation::Kind::kOneSided) {
    const auto all = advance_one_sided(operation, any);
    over = !all.ok() || all.value();
    result = all.status();
  } else {
    running_ = &operation;
    // Of several operations that a thread drives in turn, two ranks would wait for each other in different
    // ones.
    const bool alone = &operation == &own_operation_;
    any = operation.execution->advance(failed_, alone);
    over = operation.execution->done();
    if (over) result = operation.execution->failure();
    // A peer that gave the call up may have let its memory go while it was still read from there.
    if (over && result.ok() && operation.execution->exposes_memory() &&
        failed_.load(std::memory_order_acquire))
      result = failure();
  }
  if (over) {
    if (result.code() == Code::kInvalidUsage) result = asked_about(operation, result);
    end(operation, result.code() == Code::kRemote ? better_known(result, kWord) : result);
    return true;
  }
  if (failed_.load(std::memory_order_acquire)) {
    end(operation, failure());
    return true;
  }
  if (!connections_) return any;
  if (const Patience::Due due = patience_.poll(any); due != Patience::Due::kNothing) [[unlikely]] {
    if (const Status late = lose_patience(operation, due); !late.ok()) {
      end(operation, late);
      return true;
    }
  }
  if (unsaid_.load(std::memory_order_acquire)) [[unlikely]]
    say_who_is_late();
  any = connections_->poll() || any;
  if (any) stuck_since_ = {};
  if (any) return true;
  look_at_peers(operation);
  return false;
}

// Where nothing moves: whether something ever will.
void Communicator::look_at_peers(const Operation& operation) {
  if (any_left_.load(std::memory_order_acquire))
    if (const Status left = look_for_left(operation); !left.ok()) raise(left);
  if (const Status status = connections_->status(); !status.ok())
    raise(status.code() == Code::kRemote ? better_known(status, kWord) : status);
}

bool Communicator::poll_within_step() {
  const bool moved = connections_->poll();
  if (const Patience::Due due = patience_.poll(moved); due != Patience::Due::kNothing) [[unlikely]]
    if (const Status late = lose_patience(*running_, due); !late.ok()) raise(late);
  if (unsaid_.load(std::memory_order_acquire)) [[unlikely]]
    say_who_is_late();
  if (moved)
    stuck_since_ = {};
  else
    look_at_peers(*running_);
  return moved;
}

// Who leaves has sent all it ever will, but the last of it may still be on its way.
Status Communicator::look_for_left(const Operation& operation) {
  const auto has_left = [this](Rank rank) {
    return left_[static_cast<std::size_t>(rank)].load(std::memory_order_acquire);
  };
  Rank missed = -1;
  if (operation.execution != nullptr)
    missed = operation.execution->waits_for(has_left);
  else if (const Rank peer = operation.one_sided[operation.next].peer; has_left(peer))
    missed = peer;
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
