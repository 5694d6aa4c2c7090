#include "device/host/host_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/process.hpp"
#include "base/shared_memory.hpp"

namespace hansa {
namespace {

constexpr std::size_t kFirstCapacity = 64;

// One count for all of the process: an id is never given twice, whichever object gave it.
std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void unmap(const Allocation& allocation) {
  munmap(allocation.base, allocation.bytes);
  close(allocation.fd);
}

}  // namespace

bool HostMemory::before(const Owned& owned, const void* address) {
  return owned.allocation.base < static_cast<const std::byte*>(address);
}

HostMemory::HostMemory() {
  tables_.push_back(std::make_unique<Table>(kFirstCapacity));
  table_.store(tables_.back().get());
}

HostMemory::~HostMemory() {
  while (!allocations_.empty()) (void)free(allocations_.back().allocation.base);
}

Result<std::byte*> HostMemory::allocate(std::size_t bytes) {
  const std::size_t whole = whole_pages(std::max<std::size_t>(bytes, 1));
  if (whole < bytes) return Status(Code::kInvalidArgument, fmt::format("cannot allocate {} bytes", bytes));
  HANSA_ASSIGN_OR_RETURN(const int fd, create_shared_memory("hansa-memory", whole));
  auto mapped = map_shared_memory(fd, 0, whole);
  if (mapped.ok()) {
    // Huge pages come only through the mapping, and where the system allows them (shmem_enabled is "advise");
    // so touch it first, and let fallocate() back what is left and say what went wrong.
    madvise(mapped.value(), whole, MADV_HUGEPAGE);
    madvise(mapped.value(), whole, MADV_POPULATE_WRITE);
    if (Status backed = back_shared_memory(fd, 0, whole); !backed.ok()) {
      munmap(mapped.value(), whole);
      mapped = backed;
    }
  }
  if (!mapped.ok()) {
    close(fd);
    return mapped.status();
  }
  std::byte* const base = mapped.value();
  const std::lock_guard lock(mutex_);
  const auto place = std::lower_bound(allocations_.begin(), allocations_.end(), base, before);
  allocations_.insert(place, Owned{{next_id(), base, whole, fd}, process_generation()});
  publish();
  return base;
}

Result<HostMemory::Owned> HostMemory::take(void* address) {
  const std::lock_guard lock(mutex_);
  const auto place = std::lower_bound(allocations_.begin(), allocations_.end(), address, before);
  if (place == allocations_.end() || place->allocation.base != address) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} was not allocated here or is freed already", address));
  }
  const Owned taken = *place;
  allocations_.erase(place);
  publish();
  return taken;
}

// Both unmap without the lock: gigabytes take a while, and a fork meanwhile would leave it locked in the
// child.
Status HostMemory::free(void* address) {
  HANSA_ASSIGN_OR_RETURN(const Owned freed, take(address));
  // In a forked child the pages are the parent's still.
  if (freed.generation == process_generation())
    drop_shared_memory(freed.allocation.fd, 0, freed.allocation.bytes);
  unmap(freed.allocation);
  return {};
}

Status HostMemory::leave(void* address) {
  HANSA_ASSIGN_OR_RETURN(const Owned left, take(address));
  unmap(left.allocation);
  return {};
}

// Under the mutex. Readers never wait for it unless they come back too often.
void HostMemory::publish() {
  Table* table = tables_.back().get();
  if (allocations_.size() > table->entries.size()) {
    tables_.push_back(std::make_unique<Table>(table->entries.size() * 2));
    table = tables_.back().get();
  }
  const std::uint64_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  // Release: who sees one of these sees the odd version as well.
  for (std::size_t i = 0; i < allocations_.size(); ++i) {
    const Allocation& allocation = allocations_[i].allocation;
    Entry& entry = table->entries[i];
    entry.base.store(reinterpret_cast<std::uintptr_t>(allocation.base), std::memory_order_release);
    entry.bytes.store(allocation.bytes, std::memory_order_release);
    entry.id.store(allocation.id, std::memory_order_release);
    entry.fd.store(allocation.fd, std::memory_order_release);
  }
  table->count.store(allocations_.size(), std::memory_order_release);
  table_.store(table, std::memory_order_release);
  version_.store(version + 2, std::memory_order_release);
}

std::optional<Allocation> HostMemory::search(const Table& table, std::uint64_t address,
                                             std::size_t bytes) const {
  // All loads acquire, so that the caller's second look at the version comes after them.
  std::size_t first = 0;
  std::size_t last = std::min(table.count.load(std::memory_order_acquire), table.entries.size());
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    const Entry& entry = table.entries[middle];
    const std::uint64_t base = entry.base.load(std::memory_order_acquire);
    const std::uint64_t size = entry.bytes.load(std::memory_order_acquire);
    if (address < base) {
      last = middle;
    } else if (address - base >= size) {
      first = middle + 1;
    } else {
      if (bytes > size - (address - base)) return std::nullopt;
      return Allocation{entry.id.load(std::memory_order_acquire), reinterpret_cast<std::byte*>(base), size,
                        entry.fd.load(std::memory_order_acquire)};
    }
  }
  return std::nullopt;
}

std::optional<Allocation> HostMemory::identify(const void* address, std::size_t bytes) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (;;) {
    const std::uint64_t version = version_.load(std::memory_order_acquire);
    if (version % 2 == 0) {
      auto found = search(*table_.load(std::memory_order_acquire), at, bytes);
      if (version_.load(std::memory_order_relaxed) == version) return found;
    }
    // Something changed: the changer holds the mutex, so wait for it there instead of spinning.
    const std::lock_guard lock(mutex_);
  }
}

Result<int> HostMemory::duplicate(std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(allocations_.begin(), allocations_.end(),
                                  [&](const Owned& owned) { return owned.allocation.id == id; });
  if (found == allocations_.end()) {
    return Status(Code::kInvalidArgument, fmt::format("allocation {} is not here or freed", id));
  }
  const int copy = fcntl(found->allocation.fd, F_DUPFD_CLOEXEC, 0);
  if (copy >= 0) return copy;
  return Status(Code::kSystem, fmt::format("cannot duplicate a descriptor: {}; see ulimit -n",
                                           std::generic_category().message(errno)));
}

}  // namespace hansa
