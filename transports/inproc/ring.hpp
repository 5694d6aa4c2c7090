// One channel between two threads: slots on the heap and two counters that only grow.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "hansa/transport.hpp"
#include "transports/slot_shape.hpp"

namespace hansa::inproc {

// reserve() and commit() belong to the sending thread, peek() and release() to the receiving one. What lies
// in a slot belongs to the receiver from commit to release and to the sender otherwise.
class Ring {
 public:
  explicit Ring(SlotShape shape)
      : shape_(shape), headers_(shape.count), payload_(new std::byte[shape.bytes * shape.count + kLine]) {}

  std::byte* reserve(std::uint32_t ahead) noexcept {
    const std::uint64_t slot = committed_.load(std::memory_order_relaxed) + ahead;
    return slot - released_.load(std::memory_order_acquire) < shape_.count ? payload(slot) : nullptr;
  }
  void commit(std::uint32_t bytes, std::uint32_t stamp) noexcept {
    const std::uint64_t slot = committed_.load(std::memory_order_relaxed);
    headers_[slot % shape_.count] = {bytes, stamp};
    committed_.store(slot + 1, std::memory_order_release);
  }
  Arrival peek(std::uint32_t ahead) noexcept {
    const std::uint64_t slot = released_.load(std::memory_order_relaxed) + ahead;
    if (slot >= committed_.load(std::memory_order_acquire)) return {};
    const Header& header = headers_[slot % shape_.count];
    return {payload(slot), header.bytes, header.stamp};
  }
  void release() noexcept {
    released_.store(released_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  static constexpr std::size_t kLine = 64;
  struct Header {
    std::uint32_t bytes = 0, stamp = 0;
  };
  std::byte* payload(std::uint64_t slot) noexcept {
    const auto start = (reinterpret_cast<std::uintptr_t>(payload_.get()) + kLine - 1) & ~(kLine - 1);
    return reinterpret_cast<std::byte*>(start) + slot % shape_.count * shape_.bytes;
  }

  SlotShape shape_;
  std::vector<Header> headers_;
  std::unique_ptr<std::byte[]> payload_;
  alignas(kLine) std::atomic<std::uint64_t> committed_{0};
  alignas(kLine) std::atomic<std::uint64_t> released_{0};
};

}  // namespace hansa::inproc
