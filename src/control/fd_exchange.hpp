// Lends file descriptors (memfds of shared memory, pidfds, DMA buffers) to other processes of the same user
// on the same host. The provider listens under a random abstract name and gives nothing to a process of
// another user, or to one that does not show the 16-byte token of its address.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "control/descriptor.hpp"
#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa::control {

// 16 bytes of name and 16 bytes of token. Whoever has them may fetch: send them over authenticated links
// only.
using FdAddress = std::array<std::byte, 32>;

// Served by the control thread. Any thread may call; nothing blocks for long. In a forked child every call
// fails and destruction leaves the parent's provider alone.
class FdProvider {
 public:
  static Result<std::unique_ptr<FdProvider>> create();
  ~FdProvider();  // withdraws everything; what peers have fetched stays theirs

  const FdAddress& address() const noexcept { return address_; }
  // Duplicates `fd`, which stays the caller's. A key in use is an error.
  Status offer(std::uint64_t key, int fd);
  void withdraw(std::uint64_t key);

 private:
  class Server;
  FdProvider(FdAddress address, std::shared_ptr<Server> server);
  const FdAddress address_;
  const std::shared_ptr<Server> server_;
};

// The descriptor that the provider at `address` offers under `key`; the caller owns it (closed on exec).
// Blocks until `timeout` at most, or until `cancelled` (may be null) becomes true. `address` is trusted in
// nothing. Not from the control thread.
Result<Descriptor> fetch_fd(BytesView address, std::uint64_t key, std::chrono::milliseconds timeout,
                            const std::atomic<bool>* cancelled = nullptr);

// Where a descriptor is, in words that travel.
struct FileOfProcess {
  std::int32_t pid = 0;
  std::int32_t fd = -1;
  std::uint64_t device = 0, inode = 0;
};
Result<FileOfProcess> file_of_this_process(int fd);

// The same without the other's help and far cheaper, by pidfd_getfd(2): where the kernel has it (5.6) and
// lets this process trace that one, and only if there is that very file. Hosts count alike: the caller knows
// that the process is of this one. Does not block.
Result<Descriptor> borrow_fd(const FileOfProcess& file);

}  // namespace hansa::control
