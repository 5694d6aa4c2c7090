#include "transports/shm/peer_memory.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fault_point.hpp"
#include "base/shared_memory.hpp"
#include "transports/process.hpp"

namespace hansa::shm {
namespace {

using Clock = std::chrono::steady_clock;

// Who lives answers within a millisecond; who did not answer once is not to hold up every call.
constexpr std::chrono::milliseconds kFirstPatience{500}, kPatience{10}, kAskAgain{1000};
// Peers free what was allocated, and nobody tells: the address space is not to fill up.
constexpr std::size_t kMostMappings = 1024;

using Transfer = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long, unsigned long);

// The kernel moves what it can at once (2 GiB at most) and says how much.
bool transfer_all(Transfer transfer, std::int64_t pid, void* local, std::uint64_t remote, std::size_t bytes) {
  auto* at = static_cast<std::byte*>(local);
  while (bytes > 0) {
    const iovec here{at, bytes};
    const iovec there{reinterpret_cast<void*>(remote), bytes};
    const ssize_t moved = transfer(static_cast<pid_t>(pid), &here, 1, &there, 1, 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    at += moved;
    remote += static_cast<std::uint64_t>(moved);
    bytes -= static_cast<std::size_t>(moved);
  }
  return true;
}

bool shows(const Beacon& beacon) {
  std::uint64_t value = 0;
  return transfer_all(process_vm_readv, beacon.pid, &value, beacon.address, sizeof value) &&
         value == beacon.value;
}

bool inside(const Descriptor& remote, std::size_t offset, std::size_t bytes) {
  return offset <= remote.bytes && bytes <= remote.bytes - offset;
}

}  // namespace

PeerMemory::PeerMemory(const Beacon& beacon, const control::FdAddress& fds)
    : beacon_(beacon), fds_(fds), same_process_(beacon.process == process_identity()) {
  single_copy_ = !same_process_ && shows(beacon);
}

PeerMemory::~PeerMemory() {
  for (const Mapping& mapping : mappings_) {
    if (mapping.base != nullptr) munmap(mapping.base, mapping.bytes);
  }
}

bool PeerMemory::alive() const noexcept {
  if (same_process_) return true;
  // A dead process that nobody has waited for keeps its pid but has no memory.
  if (single_copy_) return shows(beacon_);
  return true;
}

const PeerMemory::Mapping& PeerMemory::mapping_of(std::uint64_t allocation, bool anew) {
  const auto place =
      std::lower_bound(mappings_.begin(), mappings_.end(), allocation,
                       [](const Mapping& mapping, std::uint64_t id) { return mapping.allocation < id; });
  if (place != mappings_.end() && place->allocation == allocation) {
    place->used = ++clock_;
    if (anew && place->base == nullptr && Clock::now() >= place->again) fetch(*place, kPatience);
    return *place;
  }
  if (mappings_.size() >= kMostMappings) {
    forget_oldest();
    return mapping_of(allocation, anew);
  }
  Mapping mapping{allocation, nullptr, 0, ++clock_, {}};
  fetch(mapping, kFirstPatience);
  return *mappings_.insert(place, mapping);
}

void PeerMemory::fetch(Mapping& mapping, std::chrono::milliseconds patience) const {
  struct stat about {};
  const bool refused = fault_point(Point::kMemoryFetch);
  auto fetched = control::fetch_fd(fds_, mapping.allocation, patience);
  if (!refused && fetched.ok() && fstat(fetched.value().get(), &about) == 0 && about.st_size > 0) {
    const int fd = fetched.value().get();
    mapping.bytes = static_cast<std::size_t>(about.st_size);
    if (check_shared_memory(fd, mapping.bytes).ok()) {
      auto mapped = map_shared_memory(fd, 0, mapping.bytes);
      if (mapped.ok()) mapping.base = mapped.value();
      (void)fault_point(Point::kMemoryMapped);
    }
  }
  mapping.again = Clock::now() + kAskAgain;
}

// What was not used for longest; no call is that long ago.
void PeerMemory::forget_oldest() {
  const auto oldest = std::min_element(mappings_.begin(), mappings_.end(),
                                       [](const Mapping& a, const Mapping& b) { return a.used < b.used; });
  if (oldest->base != nullptr) munmap(oldest->base, oldest->bytes);
  mappings_.erase(oldest);
}

std::byte* PeerMemory::map(const Descriptor& remote) noexcept { return reach(remote, true); }

std::byte* PeerMemory::reach(const Descriptor& remote, bool anew) {
  if (same_process_) return reinterpret_cast<std::byte*>(remote.address);
  if (remote.allocation == 0) return nullptr;
  const Mapping& mapping = mapping_of(remote.allocation, anew);
  if (mapping.base == nullptr || remote.offset > mapping.bytes ||
      remote.bytes > mapping.bytes - remote.offset) {
    return nullptr;
  }
  return mapping.base + remote.offset;
}

bool PeerMemory::read(const Descriptor& remote, std::size_t offset, Bytes into) noexcept {
  if (!inside(remote, offset, into.size())) return false;
  if (into.empty()) return true;
  if (const std::byte* const mapped = reach(remote, false)) {
    std::memcpy(into.data(), mapped + offset, into.size());
    return true;
  }
  return single_copy_ && !fault_point(Point::kCopySingle) &&
         transfer_all(process_vm_readv, beacon_.pid, into.data(), remote.address + offset, into.size());
}

bool PeerMemory::write(const Descriptor& remote, std::size_t offset, BytesView from) noexcept {
  if (!inside(remote, offset, from.size())) return false;
  if (from.empty()) return true;
  if (std::byte* const mapped = reach(remote, false)) {
    std::memcpy(mapped + offset, from.data(), from.size());
    return true;
  }
  return single_copy_ && !fault_point(Point::kCopySingle) &&
         transfer_all(process_vm_writev, beacon_.pid, const_cast<std::byte*>(from.data()),
                      remote.address + offset, from.size());
}

}  // namespace hansa::shm
