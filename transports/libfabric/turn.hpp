#pragma once

#include <atomic>
#include <mutex>

namespace hansa::libfabric {

// A mutex for those who do something, and for those who look in a loop whether there is something to do: the
// latter try, and step back while somebody wants in, whom they would else keep out by coming again at once.
class Turn {
 public:
  void lock() {
    wanted_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock();
    wanted_.fetch_sub(1, std::memory_order_relaxed);
  }
  bool try_lock() { return wanted_.load(std::memory_order_relaxed) == 0 && mutex_.try_lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  std::atomic<int> wanted_{0};
};

}  // namespace hansa::libfabric
