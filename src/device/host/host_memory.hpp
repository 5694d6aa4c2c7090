// Host memory that every process of the host can be given: one memfd for each allocation.
//
// A freed allocation's memory goes back to the system at once, even where peers still have it mapped: what
// they then read is zeros, what they write is lost with their mapping. That of one that was left stays
// theirs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "hansa/memory.hpp"

namespace hansa {

class HostMemory final : public Memory {
 public:
  HostMemory();
  ~HostMemory() override;  // frees what is left
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  Result<std::byte*> allocate(std::size_t bytes) override;
  Status free(void* address) override;
  Status leave(void* address) override;
  std::optional<Allocation> identify(const void* address, std::size_t bytes) const override;
  Result<int> duplicate(std::uint64_t id) const override;

 private:
  // The table that identify() searches while others change it: a sorted array under a sequence count. Its
  // fields are atomics because a reader may see them change, notices, and looks again.
  struct Entry {
    std::atomic<std::uint64_t> base{0}, bytes{0}, id{0};
    std::atomic<int> fd{-1};
  };
  struct Table {
    explicit Table(std::size_t capacity) : entries(capacity) {}
    std::atomic<std::size_t> count{0};
    std::vector<Entry> entries;
  };
  struct Owned {
    Allocation allocation;
    std::uint64_t generation = 0;  // of the process that allocated it
  };
  Result<Owned> take(void* address);
  static bool before(const Owned& owned, const void* address);
  void publish();
  std::optional<Allocation> search(const Table& table, std::uint64_t address, std::size_t bytes) const;

  mutable std::mutex mutex_;
  std::vector<Owned> allocations_;  // by base; the truth, under the mutex
  std::vector<std::unique_ptr<Table>>
      tables_;  // each twice its predecessor, kept for readers that still look there
  std::atomic<const Table*> table_;
  std::atomic<std::uint64_t> version_{0};  // odd while a table changes
};

}  // namespace hansa
