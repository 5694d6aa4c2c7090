// Writes what a process did last to HANSA_DUMP's folder when a communicator fails, without holding up whoever
// finds the failure.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace hansa {

// One for a process. Any thread.
class FailureDump {
 public:
  explicit FailureDump(std::uint64_t generation) : generation_(generation) {}
  std::uint64_t generation() const noexcept { return generation_; }

  // Has a thread write it, soon, and returns. What fails while it writes is written afterwards. Does nothing
  // where HANSA_DUMP is not set; a dump that cannot be written is told of and given up.
  void start(std::string_view reason) noexcept;
  // Waits until all that was started is written, but no longer than this: the disk may hang.
  void await(std::chrono::milliseconds patience) noexcept;

 private:
  void write_all() noexcept;

  const std::uint64_t generation_;
  std::mutex mutex_;
  std::condition_variable done_;
  bool running_ = false, wanted_ = false;
  std::string reason_;  // of the failure that is written next
};

}  // namespace hansa
