#include "core/progress.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "base/signals.hpp"
#include "base/wait.hpp"

namespace hansa {
namespace {

constexpr std::chrono::microseconds kNap{500};  // between looks at what nobody waits for

}  // namespace

Status Progress::start_thread() {
  if (started_) return {};
  const SignalsBlocked in_the_thread;
  try {
    std::thread([this] { loop(); }).detach();
    started_ = true;
  } catch (const std::system_error& error) {
    return Status(Code::kSystem,
                  fmt::format("a thread cannot be started: {}; RLIMIT_NPROC or the pids cgroup may be "
                              "too low",
                              error.what()));
  }
  return {};
}

Status Progress::submit(std::vector<std::unique_ptr<Operation>> operations) {
  const std::scoped_lock lock(mutex_);
  HANSA_RETURN_IF_ERROR(start_thread());
  ++batches_;
  for (auto& operation : operations) {
    operation->batch = batches_;
    for (HostStream* stream : operation->streams) stream->queue.push_back(operation.get());
    if (operation->communicator) {
      operation->communicator->queue.push_back(operation.get());
      operation->communicator->pending.fetch_add(1, std::memory_order_relaxed);
    }
    operations_.push_back(std::move(operation));
  }
  work_.notify_one();
  return {};
}

Status Progress::drain(HostStream& stream) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return stream.queue.empty(); });
  return std::exchange(stream.failure, Status());
}

void Progress::drain(Communicator& communicator) {
  std::unique_lock lock(mutex_);
  work_.notify_one();  // it may have failed, and its operations stand behind others
  finished_.wait(lock, [&] { return communicator.queue.empty(); });
}

bool Progress::drain_for(Communicator& communicator, std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  work_.notify_one();
  return finished_.wait_for(lock, time, [&] { return communicator.queue.empty(); });
}

Status Progress::query(HostStream& stream) {
  const std::scoped_lock lock(mutex_);
  if (!stream.queue.empty()) return Status(Code::kInProgress, "operations are pending on the stream");
  return std::exchange(stream.failure, Status());
}

Status Progress::look_after(Communicator& communicator) {
  const std::scoped_lock lock(mutex_);
  HANSA_RETURN_IF_ERROR(start_thread());
  looked_after_.push_back(&communicator);
  tending_.store(true, std::memory_order_seq_cst);
  work_.notify_one();
  return {};
}

// Whoever finds `tending_` true left its leftovers before the thread's last look; see wait_for_work().
void Progress::wake() {
  if (tending_.load(std::memory_order_seq_cst)) return;
  const std::scoped_lock lock(mutex_);
  tending_.store(true, std::memory_order_seq_cst);
  work_.notify_one();
}

void Progress::forget(const Communicator& communicator) {
  const std::scoped_lock lock(mutex_);
  std::erase(looked_after_, &communicator);
}

bool Progress::tend() {
  bool left = false;
  for (Communicator* communicator : looked_after_) left = communicator->move_leftovers() || left;
  return left;
}

void Progress::collect(std::vector<Operation*>& ready) {
  ready.clear();
  const auto first_in = [](const HostStream& stream, const Operation& operation) {
    for (const Operation* before : stream.queue) {
      if (before == &operation) return true;
      if (before->batch != operation.batch) return false;
    }
    return false;
  };
  for (const auto& operation : operations_) {
    const bool over = operation->communicator && !operation->communicator->failure().ok();
    const bool first =
        (!operation->communicator || operation->communicator->queue.front() == operation.get()) &&
        std::all_of(operation->streams.begin(), operation->streams.end(),
                    [&](const HostStream* stream) { return first_in(*stream, *operation); });
    const bool waits = operation->called && !operation->done;
    if (over || (first && !waits)) ready.push_back(operation.get());
  }
}

void Progress::retire(Operation& operation) {
  for (HostStream* stream : operation.streams) {
    std::erase(stream->queue, &operation);
    if (stream->failure.ok()) stream->failure = operation.result;
  }
  if (operation.communicator) {
    std::erase(operation.communicator->queue, &operation);
    // Nobody else tells of what a non-blocking call could not even begin.
    if (operation.streams.empty() && !operation.result.ok()) operation.communicator->fail(operation.result);
    operation.communicator->pending.fetch_sub(1, std::memory_order_release);
  }
  operations_.erase(std::find_if(operations_.begin(), operations_.end(),
                                 [&](const auto& candidate) { return candidate.get() == &operation; }));
}

void Progress::call_host(Operation& operation) {
  const auto call = [this, &operation] {
    operation.function(operation.argument);
    const std::scoped_lock lock(mutex_);
    operation.done = true;
    work_.notify_one();
  };
  operation.called = true;
  try {
    std::thread(call).detach();
  } catch (const std::system_error&) {
    call();  // without threads to spare streams wait for each other's callbacks
  }
}

void Progress::wait_for_work(std::unique_lock<std::mutex>& lock, std::vector<Operation*>& ready) {
  for (collect(ready); ready.empty(); collect(ready)) {
    if (tend()) {
      work_.wait_for(lock, kNap);
      continue;
    }
    tending_.store(false, std::memory_order_seq_cst);
    if (!tend()) work_.wait(lock);
    tending_.store(true, std::memory_order_seq_cst);
  }
}

void Progress::loop() {
  std::vector<Operation*> ready;
  Waiter waiter(true);
  std::unique_lock lock(mutex_);
  for (;;) {
    wait_for_work(lock, ready);
    (void)tend();
    lock.unlock();
    bool any = false;
    for (Operation* operation : ready) {
      if (operation->kind == Operation::Kind::kHostCall) {
        if (!operation->called) call_host(*operation);
        any = true;
        continue;
      }
      if (!operation->begun) operation->communicator->begin(*operation);
      any = operation->communicator->advance(*operation) || any;
    }
    if (any)
      waiter.reset();
    else
      waiter.idle();
    lock.lock();
    bool retired = false;
    for (Operation* operation : ready)
      if (operation->done) {
        retire(*operation);
        retired = true;
      }
    if (retired) finished_.notify_all();
  }
}

}  // namespace hansa
