// Which process is this, and who else lives in it: what transports need to meet inside one address space.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace hansa {

// Random, the same for the whole life of this process, another one in a forked child. Equal values mean one
// address space. Any thread.
std::uint64_t process_identity();

// Random bits from the operating system: for keys that must not be guessed or meet by chance.
std::uint64_t random_u64();

// Objects that other ranks of this process may find by key. Holds no ownership: an object that its owners
// have dropped is not found any more. Any thread.
template <class T>
class ProcessRegistry {
 public:
  void publish(std::uint64_t key, const std::shared_ptr<T>& object) {
    const std::lock_guard lock(mutex_);
    // Not at every call: thousands may live.
    if (objects_.size() >= sweep_at_) {
      std::erase_if(objects_, [](const auto& entry) { return entry.second.expired(); });
      sweep_at_ = 2 * objects_.size() + kFirstSweep;
    }
    objects_[key] = object;
  }
  std::shared_ptr<T> find(std::uint64_t key) const {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    return found == objects_.end() ? nullptr : found->second.lock();
  }

 private:
  mutable std::mutex mutex_;
  static constexpr std::size_t kFirstSweep = 16;
  std::unordered_map<std::uint64_t, std::weak_ptr<T>> objects_;
  std::size_t sweep_at_ = kFirstSweep;
};

}  // namespace hansa
