// The thread that moves on what nobody waits for: operations on streams and on non-blocking communicators.
// Started at the first such operation; sleeps while there is none.
#pragma once

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
  // kInProgress while the stream has something left, else as drain().
  Status query(HostStream& stream);

 private:
  Status start_thread();
  void loop();
  // Operations that stand first in all their queues, and whatever a failed communicator still has.
  void collect(std::vector<Operation*>& ready);
  // On a thread of its own: what it waits for may be on another stream.
  void call_host(Operation& operation);
  void retire(Operation& operation);

  std::mutex mutex_;
  std::condition_variable work_, finished_;
  std::vector<std::unique_ptr<Operation>> operations_;
  const std::uint64_t generation_;
  bool started_ = false;
  std::uint64_t batches_ = 0;
};

}  // namespace hansa
