// The thread that moves on what nobody waits for: operations on streams and on non-blocking communicators.
// Started at the first such operation; sleeps while there is none.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/communicator.hpp"
#include "core/host_stream.hpp"
#include "core/operation.hpp"
#include "hansa/status.hpp"

namespace hansa {

class Progress {
 public:
  // `generation`: of the process that it serves.
  explicit Progress(std::uint64_t generation) : generation_(generation) {}
  std::uint64_t generation() const noexcept { return generation_; }

  // Queues operations behind what their streams and communicators have; takes them over. Any thread.
  Status submit(std::vector<std::unique_ptr<Operation>> operations);

  // Waits until the stream, or the communicator, has nothing left. The stream's first failure, once.
  Status drain(HostStream& stream);
  void drain(Communicator& communicator);
  // False if something is left when the time is up.
  bool drain_for(Communicator& communicator, std::chrono::milliseconds time);
  // From now on moves on what the communicator's calls leave behind, whenever wake() says that there is
  // something.
  Status look_after(Communicator& communicator);
  // Takes no lock while the thread looks again soon anyway.
  void wake();
  // The communicator is about to go.
  void forget(const Communicator& communicator);
  // kInProgress while the stream has something left, else as drain().
  Status query(HostStream& stream);

 private:
  Status start_thread();
  // Whether anything is left of what is looked after.
  bool tend();
  // Sleeps until there is an operation to move on; moves leftovers on meanwhile.
  void wait_for_work(std::unique_lock<std::mutex>& lock, std::vector<Operation*>& ready);
  void loop();
  // Operations that stand first in all their queues, and whatever a failed communicator still has.
  void collect(std::vector<Operation*>& ready);
  // On a thread of its own: what it waits for may be on another stream.
  void call_host(Operation& operation);
  void retire(Operation& operation);

  std::mutex mutex_;
  std::condition_variable work_, finished_;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<Communicator*> looked_after_;
  std::atomic<bool> tending_{false};  // the thread looks at those again without being told
  const std::uint64_t generation_;
  bool started_ = false;
  std::uint64_t batches_ = 0;
};

}  // namespace hansa
