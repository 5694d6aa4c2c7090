#include "core/group.hpp"

#include <algorithm>
#include <deque>
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
  const bool crowded = lines.size() > 1 || lines.front().communicator->crowded();
  Waiter waiter(crowded);
  for (;;) {
    bool any = false, left = false;
    for (Line& line : lines) {
      if (line.next == line.operations.size()) continue;
      Operation& operation = *line.operations[line.next];
      if (operation.execution == nullptr && !operation.done) line.communicator->begin(operation);
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

// Whether a request meets nobody: all ranks know that there is nothing to move.
bool empty(const Request& request, Rank ranks) {
  switch (request.collective) {
    case Collective::kBarrier:
    case Collective::kAllToAllV:
      return false;
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV:
      return std::all_of(request.receive_counts, request.receive_counts + ranks,
                         [](std::size_t n) { return n == 0; });
    default:
      return request.count == 0;
  }
}

}  // namespace

void Group::fail(const Status& status) {
  if (open() && failure_.ok()) failure_ = status;
}

bool Group::uses(const Communicator& communicator) const noexcept {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.communicator.get() == &communicator; });
}

bool Group::uses(const HostStream& stream) const noexcept {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    const auto& streams = entry.operation->streams;
    return std::find(streams.begin(), streams.end(), &stream) != streams.end();
  });
}

void Group::drop(const Communicator& communicator) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.communicator.get() == &communicator; });
}

Status Group::run_now(Communicator& communicator, const Request& request) {
  Operation& operation = communicator.own_operation();
  operation.kind = Operation::Kind::kCollective;
  operation.request = request;
  communicator.begin(operation);
  Waiter waiter(communicator.crowded());
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
  if (empty(request, communicator->ranks())) return {};
  const bool simple = !open() && !stream && communicator->blocking();
  if (simple && communicator->pending.load(std::memory_order_acquire) == 0)
    return run_now(*communicator, request);
  auto operation = std::make_unique<Operation>();
  operation->request = request;
  operation->own_tables(communicator->ranks());
  add(std::move(communicator), std::move(stream), std::move(operation));
  if (open()) return {};
  return run(std::exchange(entries_, {}));
}

Status Group::submit(Lease communicator, StreamLease stream, const PointToPoint& message) {
  HANSA_RETURN_IF_ERROR(communicator->check(message));
  // All sends and receives of one communicator in a group make one operation, which waits for all their
  // streams.
  for (Entry& entry : entries_)
    if (entry.communicator.get() == communicator.get() &&
        entry.operation->kind == Operation::Kind::kPointToPoint) {
      entry.operation->messages.push_back(message);
      join(entry, std::move(stream));
      return {};
    }
  auto operation = std::make_unique<Operation>();
  operation->kind = Operation::Kind::kPointToPoint;
  operation->messages.push_back(message);
  add(std::move(communicator), std::move(stream), std::move(operation));
  if (open()) return {};
  return run(std::exchange(entries_, {}));
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
  for (const Entry& entry : entries) {
    if (entry.communicator->forked())
      return Status(Code::kInvalidUsage, "the group was opened before fork(): only the parent can end it");
    HANSA_RETURN_IF_ERROR(entry.communicator->check(entry.operation->messages));
  }
  // Collectives before messages, so that ranks which wrote a group in another order still meet.
  std::stable_partition(entries.begin(), entries.end(), [](const Entry& entry) {
    return entry.operation->kind == Operation::Kind::kCollective;
  });
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
    if (entry.streams.empty() && !communicator->blocking())
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

Status Group::connect(Lease communicator, std::function<void()> undo) {
  newcomers_.push_back({std::move(communicator), std::move(undo)});
  return open() ? Status() : connect_all(std::exchange(newcomers_, {}));
}

Status Group::connect_all(std::vector<Newcomer> newcomers) {
  std::vector<Status> results(newcomers.size());
  std::vector<std::thread> threads;
  threads.reserve(newcomers.size());
  Status pending, stuck;
  for (std::size_t i = 0; i < newcomers.size(); ++i) {
    Communicator* communicator = newcomers[i].communicator.get();
    try {
      if (!stuck.ok()) {
        results[i] = stuck;
      } else if (!communicator->blocking()) {
        communicator->connect_in_background();
        pending = Status(Code::kInProgress,
                         "the communicator connects; ncclCommGetAsyncError tells when it is ready");
      } else if (newcomers.size() == 1) {
        results[i] = communicator->connect();
      } else {
        threads.emplace_back([communicator, &result = results[i]] { result = communicator->connect(); });
      }
    } catch (const std::system_error& error) {
      stuck = results[i] = Status(Code::kSystem, std::string("a thread cannot be started: ") + error.what() +
                                                     "; RLIMIT_NPROC or the pids cgroup may be too low");
      // Those on their way would wait for this one.
      for (std::size_t j = 0; j < i; ++j) newcomers[j].communicator->raise(stuck);
    }
  }
  for (std::thread& thread : threads) thread.join();
  Status failure;
  for (std::size_t i = 0; i < newcomers.size(); ++i) {
    const bool absent = newcomers[i].communicator->blocking() && newcomers[i].communicator->absent();
    if (results[i].ok() && !absent) continue;
    if (failure.ok()) failure = results[i];
    newcomers[i].communicator = Lease();
    newcomers[i].undo();
  }
  return failure.ok() ? pending : failure;
}

void Group::abandon() {
  if (!open() || --depth_ > 0) return;
  entries_.clear();
  failure_ = Status();
  for (Newcomer& newcomer : std::exchange(newcomers_, {})) {
    newcomer.communicator = Lease();
    newcomer.undo();
  }
}

Status Group::end() {
  if (!open()) return Status(Code::kInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--depth_ > 0) return {};
  std::vector<Entry> entries = std::exchange(entries_, {});
  std::vector<Newcomer> newcomers = std::exchange(newcomers_, {});
  const auto undo_all = [&](const Status& why) {
    for (Newcomer& newcomer : newcomers) {
      newcomer.communicator = Lease();
      newcomer.undo();
    }
    return why;
  };
  if (Status failure = std::exchange(failure_, Status()); !failure.ok()) return undo_all(failure);
  const auto differs = [&](const Entry& entry) {
    return entry.communicator->blocking() != entries.front().communicator->blocking();
  };
  if (std::any_of(entries.begin(), entries.end(), differs))
    return undo_all(Status(Code::kInvalidArgument, "blocking and non-blocking communicators in one group"));
  Status connected;
  if (!newcomers.empty()) connected = connect_all(std::move(newcomers));
  if (!connected.ok() && connected.code() != Code::kInProgress) return connected;
  Status ran;
  if (!entries.empty()) ran = run(std::move(entries));
  return ran.ok() ? connected : ran;
}

}  // namespace hansa
