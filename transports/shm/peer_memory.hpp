// A peer's own memory, reached without slots: by its pointers (same process), by mapping what it has offered
// (allocations of its Memory), by single copy (any memory, where the kernel permits process_vm_readv: the
// same user, ptrace not restricted by Yama or a container). One thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "control/fd_exchange.hpp"
#include "hansa/transport.hpp"

namespace hansa::shm {

// A word that a process shows to be recognised by: its pid may mean another process in our pid namespace.
struct Beacon {
  std::uint64_t process = 0;  // process_identity()
  std::int64_t pid = 0;
  std::uint64_t address = 0;  // of a word that holds `value` as long as the inbox lives
  std::uint64_t value = 0;
};

class PeerMemory {
 public:
  // Probes single copy by really reading the beacon.
  PeerMemory(const Beacon& beacon, const control::FdAddress& fds);
  ~PeerMemory();
  PeerMemory(PeerMemory&&) = default;
  PeerMemory& operator=(PeerMemory&&) = delete;

  bool same_process() const noexcept { return same_process_; }
  // Whether any memory can be reached, not only what can be mapped.
  bool reaches_all() const noexcept { return same_process_ || single_copy_; }
  // False if the peer has surely ended.
  bool alive() const noexcept;

  // Null if it cannot be mapped now: the peer may be stopped, or out of descriptors. Blocks for half a second
  // at most when an allocation is seen first; one that was refused is asked for again once a second, for 10
  // ms.
  std::byte* map(const Descriptor& remote) noexcept;
  // False if the piece lies outside of the description or the system refused.
  bool read(const Descriptor& remote, std::size_t offset, Bytes into) noexcept;
  bool write(const Descriptor& remote, std::size_t offset, BytesView from) noexcept;

 private:
  struct Mapping {
    std::uint64_t allocation = 0;
    std::byte* base = nullptr;  // null: was refused; asked for again at `again`
    std::size_t bytes = 0;
    std::uint64_t used = 0;
    std::chrono::steady_clock::time_point again{};
  };
  void forget_oldest();
  // Asks for what was refused if `anew`: when a message begins, not for each of its pieces.
  const Mapping& mapping_of(std::uint64_t allocation, bool anew);
  std::byte* reach(const Descriptor& remote, bool anew);
  void fetch(Mapping& mapping, std::chrono::milliseconds patience) const;

  Beacon beacon_;
  control::FdAddress fds_;
  bool same_process_;
  bool single_copy_ = false;
  std::uint64_t clock_ = 0;
  std::vector<Mapping> mappings_;  // by allocation, ascending
};

}  // namespace hansa::shm
