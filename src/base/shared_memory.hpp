// Memory that other processes may map: memfds, which have no name, vanish with their last user and belong
// to no file system (the size of /dev/shm does not limit them).
#pragma once

#include <cstddef>

#include "hansa/status.hpp"

namespace hansa {

// A memfd of `bytes` zero bytes, none backed by memory yet, that nobody can shrink or grow: a peer that maps
// it cannot be made to fault. The caller closes it. `name` is for people who read /proc.
Result<int> create_shared_memory(const char* name, std::size_t bytes);

// Whether a memfd that came from elsewhere is as create_shared_memory() makes it and holds `bytes` at least.
Status check_shared_memory(int fd, std::size_t bytes);

// Backs [offset, offset+bytes) with memory now, so that a full machine is an error here and not a SIGBUS
// later.
Status back_shared_memory(int fd, std::size_t offset, std::size_t bytes);

// The same for mapped memory, [at, at+bytes), whole pages, and without its descriptor. False where the kernel
// cannot (before Linux 5.14).
Result<bool> back_mapping(std::byte* at, std::size_t bytes);

// Gives the memory behind [offset, offset+bytes) back to the system, whoever still has it mapped (they read
// zeros).
void drop_shared_memory(int fd, std::size_t offset, std::size_t bytes) noexcept;

// Maps [offset, offset+bytes) for reading and, if `writes`, for writing; offset is a multiple of the page
// size. Unmap with munmap().
Result<std::byte*> map_shared_memory(int fd, std::size_t offset, std::size_t bytes, bool writes = true);

std::size_t page_bytes() noexcept;
inline std::size_t whole_pages(std::size_t bytes) noexcept {
  return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

}  // namespace hansa
