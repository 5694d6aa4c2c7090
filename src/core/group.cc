#include "core/group.hpp"

#include <algorithm>
#include <deque>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "base/wait.hpp"
#include "core/factory.hpp"

namespace hansa {
namespace {

// The operations of one communicator in one group, in order.
struct Line {
  Communicator* communicator;
  std::vector<Operation*> operations;
  std::size_t next = 0;
};

// Moves all lines on until every operation is done; the first failure, in order of lines. Other lines are
// driven to their ends too: their peers count on them.
Status drive(std::vector<Line>& lines) {
  Waiter waiter(lines.size() > 1 || lines.front().communicator->yields());
  for (;;) {
    bool any = false, left = false;
    for (Line& line : lines) {
      if (line.next == line.operations.size()) continue;
      Operation& operation = *line.operations[line.next];
      if (!operation.begun) line.communicator->begin(operation);
      any = line.communicator->advance(operation) || any;
      if (operation.done) ++line.next;
      left = true;
    }
    if (!left) break;
    if (any)
      waiter.reset();
    else
      waiter.idle();
  }
  for (const Line& line : lines)
    for (const Operation* operation : line.operations)
      if (!operation->result.ok()) return operation->result;
  return {};
}

// A stream of the caller's own for each communicator that it waits for.
HostStream& line_of(std::deque<std::pair<Communicator*, HostStream>>& waited, Communicator* communicator) {
  for (auto& [other, stream] : waited)
    if (other == communicator) return stream;
  return waited.emplace_back(std::piecewise_construct, std::forward_as_tuple(communicator), std::tuple<>())
      .second;
}

// Forgets it, however the group ends.
class LimitOfOneGroup {
 public:
  explicit LimitOfOneGroup(Group& group) : group_(group) {}
  ~LimitOfOneGroup() { group_.forget_limit(); }
  LimitOfOneGroup(const LimitOfOneGroup&) = delete;
  LimitOfOneGroup& operator=(const LimitOfOneGroup&) = delete;

 private:
  Group& group_;
};

}  // namespace

Group::~Group() {
  if (open()) open_groups().fetch_sub(1, std::memory_order_relaxed);
  if (limited_) open_groups().fetch_sub(1, std::memory_order_relaxed);
}

void Group::start() noexcept {
  if (depth_++ == 0) open_groups().fetch_add(1, std::memory_order_relaxed);
}

// True if that was the outermost one.
bool Group::close() noexcept {
  if (--depth_ > 0) return false;
  open_groups().fetch_sub(1, std::memory_order_relaxed);
  return true;
}

// Who has set one keeps others from running calls past their groups, as an open group does.
void Group::set_limit(double seconds) noexcept {
  if (!limited_) open_groups().fetch_add(1, std::memory_order_relaxed);
  limited_ = true;
  limit_ = seconds;
}

void Group::forget_limit() noexcept {
  if (open() || !limited_) return;
  open_groups().fetch_sub(1, std::memory_order_relaxed);
  limited_ = false;
  limit_ = -1;
}

void Group::fail(const Status& status) {
  if (open() && failure_.ok()) failure_ = status;
}

bool Group::concerns(const Joint& joint, const Communicator& communicator) noexcept {
  return joint.communicator.get() == &communicator || joint.communicator->descends_from(communicator);
}

bool Group::uses(const Communicator& communicator) const noexcept {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.communicator.get() == &communicator; }) ||
         std::any_of(joints_.begin(), joints_.end(),
                     [&](const Joint& joint) { return concerns(joint, communicator); });
}

bool Group::uses(const HostStream& stream) const noexcept {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    const auto& streams = entry.operation->streams;
    return std::find(streams.begin(), streams.end(), &stream) != streams.end();
  });
}

void Group::drop(const Communicator& communicator) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.communicator.get() == &communicator; });
  std::vector<Joint> dropped;
  for (auto joint = joints_.begin(); joint != joints_.end();) {
    if (concerns(*joint, communicator)) {
      dropped.push_back(std::move(*joint));
      joint = joints_.erase(joint);
    } else {
      ++joint;
    }
  }
  undo_all(std::move(dropped));
}

Status Group::run(Communicator& communicator, const Request& request) const {
  Operation& operation = communicator.own_operation();
  operation.kind = Operation::Kind::kCollective;
  operation.request = request;
  operation.limit = limit_;
  communicator.begin(operation);
  return wait(communicator);
}

Status Group::wait(Communicator& communicator) {
  Operation& operation = communicator.own_operation();
  Waiter waiter(communicator.yields());
  while (!operation.done) {
    if (communicator.advance(operation))
      waiter.reset();
    else
      waiter.idle();
  }
  return operation.result;
}

Status Group::submit(Lease communicator, StreamLease stream, const Request& request) {
  HANSA_RETURN_IF_ERROR(communicator->check(request));
  if (!open() && !stream && communicator->blocking() &&
      communicator->pending.load(std::memory_order_acquire) == 0)
    return run(*communicator, request);
  // NCCL's rule: with nothing to move nobody waits. It counts all the same, so it keeps its place.
  const bool empty = request.empty(communicator->ranks());
  if (!open() && empty && communicator->pending.load(std::memory_order_acquire) == 0)
    return run(*communicator, request);
  auto operation = std::make_unique<Operation>();
  operation->request = request;
  operation->own_tables(communicator->ranks());
  add(std::move(communicator), std::move(stream), std::move(operation));
  if (empty) entries_.back().waits = false;
  if (open()) return {};
  return run(std::exchange(entries_, {}));
}

// All of a kind on one communicator in a group makes one operation, which waits for all their streams.
template <class Add>
void Group::gather(Lease communicator, StreamLease stream, Operation::Kind kind, Add add_to) {
  for (Entry& entry : entries_)
    if (entry.communicator.get() == communicator.get() && entry.operation->kind == kind) {
      add_to(*entry.operation);
      return join(entry, std::move(stream));
    }
  auto operation = std::make_unique<Operation>();
  operation->kind = kind;
  add_to(*operation);
  add(std::move(communicator), std::move(stream), std::move(operation));
}

Status Group::submit(Lease communicator, StreamLease stream, const PointToPoint& message) {
  HANSA_RETURN_IF_ERROR(communicator->check(message));
  gather(std::move(communicator), std::move(stream), Operation::Kind::kPointToPoint,
         [&](Operation& operation) { operation.messages.push_back(message); });
  return open() ? Status() : run(std::exchange(entries_, {}));
}

Status Group::submit(Lease communicator, StreamLease stream, std::span<const OneSidedCall> calls) {
  for (const OneSidedCall& call : calls) HANSA_RETURN_IF_ERROR(communicator->check(call));
  if (calls.empty()) return {};
  gather(std::move(communicator), std::move(stream), Operation::Kind::kOneSided, [&](Operation& operation) {
    // Waits last: what they wait for may be answered by what this group puts.
    auto& all = operation.one_sided;
    const auto is_wait = [](const OneSidedCall& one) { return one.kind == OneSidedCall::Kind::kWait; };
    all.insert(is_wait(calls.front()) ? all.end() : std::find_if(all.begin(), all.end(), is_wait),
               calls.begin(), calls.end());
  });
  return open() ? Status() : run(std::exchange(entries_, {}));
}

void Group::join(Entry& entry, StreamLease stream) {
  if (!stream) {
    entry.waits = true;
    return;
  }
  auto& streams = entry.operation->streams;
  if (std::find(streams.begin(), streams.end(), stream.get()) != streams.end()) return;
  streams.push_back(stream.get());
  entry.streams.push_back(std::move(stream));
}

void Group::add(Lease communicator, StreamLease stream, std::unique_ptr<Operation> operation) {
  operation->communicator = communicator.get();
  entries_.push_back({std::move(communicator), {}, std::move(operation), false});
  join(entries_.back(), std::move(stream));
}

Status Group::run(std::vector<Entry> entries) {
  for (const Entry& entry : entries) entry.operation->limit = limit_;
  for (const Entry& entry : entries) {
    if (entry.communicator->forked())
      return Status(Code::kInvalidUsage, "the group was opened before fork(): only the parent can end it");
    HANSA_RETURN_IF_ERROR(entry.communicator->check(entry.operation->messages));
  }
  // Collectives before messages before one-sided calls, so that ranks which wrote a group in another order
  // still meet.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.operation->kind < b.operation->kind; });
  // A communicator is driven by one thread: if the progress thread has anything of it to do, it gets all.
  const auto is_later = [&](const Communicator* communicator) {
    return !communicator->blocking() || communicator->pending.load(std::memory_order_acquire) > 0 ||
           std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
             return entry.communicator.get() == communicator && !entry.streams.empty();
           });
  };
  std::vector<Communicator*> handed_over;
  for (const Entry& entry : entries)
    if (is_later(entry.communicator.get())) handed_over.push_back(entry.communicator.get());
  std::vector<Line> lines;
  std::vector<std::unique_ptr<Operation>> later;
  std::deque<std::pair<Communicator*, HostStream>> waited;
  Status pending;
  for (Entry& entry : entries) {
    Communicator* communicator = entry.communicator.get();
    if (std::find(handed_over.begin(), handed_over.end(), communicator) == handed_over.end()) {
      auto line = std::find_if(lines.begin(), lines.end(),
                               [&](const Line& l) { return l.communicator == communicator; });
      if (line == lines.end()) line = lines.insert(line, Line{communicator, {}, 0});
      line->operations.push_back(entry.operation.get());
      continue;
    }
    if (entry.waits && communicator->blocking())
      entry.operation->streams.push_back(&line_of(waited, communicator));
    if (entry.streams.empty() && entry.waits && !communicator->blocking())
      pending = Status(Code::kInProgress, "the operation runs; ncclCommGetAsyncError tells when it is done");
    later.push_back(std::move(entry.operation));
  }
  if (!later.empty()) HANSA_RETURN_IF_ERROR(progress().submit(std::move(later)));
  Status result;
  if (!lines.empty()) result = drive(lines);
  for (auto& [communicator, stream] : waited) {
    const Status waited_for = progress().drain(stream);
    if (result.ok()) result = waited_for;
  }
  return result.ok() ? pending : result;
}

Status Group::together(Lease communicator, std::function<Status()> act, std::function<void()> undo) {
  joints_.push_back({std::move(communicator), std::move(act), std::move(undo), {}});
  return open() ? Status() : run_together(std::exchange(joints_, {}));
}

Status Group::connect(Lease communicator, bool in_background, std::function<void()> undo) {
  Communicator* newcomer = communicator.get();
  std::function<Status()> act;
  if (!in_background) act = [newcomer] { return newcomer->connect(); };
  return together(std::move(communicator), std::move(act), std::move(undo));
}

Status Group::run_together(std::vector<Joint> joints) {
  // Each communicator's in order, on one thread.
  std::vector<std::vector<Joint*>> lines;
  Status pending, stuck;
  for (Joint& joint : joints) {
    const auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& other) {
      return other.front()->communicator.get() == joint.communicator.get();
    });
    if (line == lines.end())
      lines.push_back({&joint});
    else
      line->push_back(&joint);
  }
  const auto run_line = [](const std::vector<Joint*>& line) {
    for (Joint* joint : line) try {
        joint->result = joint->act();
      } catch (const std::bad_alloc&) {
        joint->result = Status(Code::kSystem, "out of memory");
      }
  };
  std::vector<std::thread> threads;
  threads.reserve(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    Joint& first = *lines[i].front();
    try {
      if (!stuck.ok()) {
        first.result = stuck;
      } else if (!first.act) {
        first.communicator->connect_in_background();
        pending = Status(Code::kInProgress,
                         "the communicator connects; ncclCommGetAsyncError tells when it is ready");
      } else if (lines.size() == 1) {
        run_line(lines[i]);
      } else {
        threads.emplace_back(run_line, lines[i]);
      }
    } catch (const std::system_error& error) {
      stuck = first.result =
          Status(Code::kSystem, std::string("a thread cannot be started: ") + error.what() +
                                    "; RLIMIT_NPROC or the pids cgroup may be too low");
      // Those on their way would wait for this one.
      for (std::size_t j = 0; j < i; ++j)
        if (lines[j].front()->act) lines[j].front()->communicator->raise(stuck);
    }
  }
  for (std::thread& thread : threads) thread.join();
  Status failure;
  for (Joint& joint : joints) {
    const bool absent = joint.act && joint.communicator->absent();
    if (joint.result.ok() && !absent) continue;
    if (failure.ok()) failure = joint.result;
    undo(joint);
  }
  return failure.ok() ? pending : failure;
}

void Group::undo_all(std::vector<Joint> joints) {
  for (Joint& joint : joints) undo(joint);
}

// What it holds of its communicator goes first.
void Group::undo(Joint& joint) {
  joint.act = nullptr;
  joint.communicator = Lease();
  joint.undo();
}

void Group::abandon() {
  if (!open() || !close()) return;
  forget_limit();
  entries_.clear();
  failure_ = Status();
  undo_all(std::exchange(joints_, {}));
}

Status Group::end() {
  if (!open()) return Status(Code::kInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (!close()) return {};
  const LimitOfOneGroup until_the_end(*this);
  std::vector<Entry> entries = std::exchange(entries_, {});
  std::vector<Joint> joints = std::exchange(joints_, {});
  if (Status failure = std::exchange(failure_, Status()); !failure.ok()) {
    undo_all(std::move(joints));
    return failure;
  }
  const auto differs = [&](const Entry& entry) {
    return entry.communicator->blocking() != entries.front().communicator->blocking();
  };
  if (std::any_of(entries.begin(), entries.end(), differs)) {
    undo_all(std::move(joints));
    return Status(Code::kInvalidArgument, "blocking and non-blocking communicators in one group");
  }
  Status connected;
  if (!joints.empty()) connected = run_together(std::move(joints));
  if (!connected.ok() && connected.code() != Code::kInProgress) return connected;
  Status ran;
  if (!entries.empty()) ran = run(std::move(entries));
  return ran.ok() ? connected : ran;
}

}  // namespace hansa
