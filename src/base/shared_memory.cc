#include "base/shared_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace hansa {
namespace {

// fallocate() starts over when a signal interrupts it; in steps of this size a profiler's timer cannot keep
// it from ever ending.
constexpr std::size_t kBackAtOnce = std::size_t{64} << 20;

Status refused(std::string_view what, std::size_t bytes, int error) {
  std::string text = fmt::format("cannot {} {} bytes of shared memory: {}", what, bytes,
                                 std::generic_category().message(error));
  if (error == ENOSPC || error == ENOMEM) {
    text +=
        " (the host's memory, the control group's memory.max or vm.overcommit_memory; the size of /dev/shm "
        "does"
        " not matter); free memory, raise the limit or run fewer ranks here";
  } else if (error == EMFILE || error == ENFILE) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    text += fmt::format(" (RLIMIT_NOFILE is {}, at most {}); raise it with ulimit -n", limit.rlim_cur,
                        limit.rlim_max);
  }
  return Status(Code::kSystem, std::move(text));
}

// Growing a file beyond the limit does not only fail, it kills by SIGXFSZ; so look first.
Status check_file_size_limit(std::size_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur) {
    return {};
  }
  return Status(
      Code::kSystem,
      fmt::format("{} bytes of shared memory exceed the limit of file sizes (RLIMIT_FSIZE is {}); raise it"
                  " with ulimit -f",
                  bytes, limit.rlim_cur));
}

}  // namespace

Result<int> create_shared_memory(const char* name, std::size_t bytes) {
  HANSA_RETURN_IF_ERROR(check_file_size_limit(bytes));
  const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return refused("create", bytes, errno);
  if (bytes > static_cast<std::size_t>(INT64_MAX) || ftruncate(fd, static_cast<off_t>(bytes)) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const int error = bytes > static_cast<std::size_t>(INT64_MAX) ? EFBIG : errno;
    close(fd);
    return refused("size", bytes, error);
  }
  return fd;
}

Status check_shared_memory(int fd, std::size_t bytes) {
  struct stat about {};
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &about) != 0 ||
      static_cast<std::size_t>(about.st_size) < bytes) {
    return Status(Code::kRemote, "a peer offered memory that is no sealed memfd of the promised size");
  }
  return {};
}

Status back_shared_memory(int fd, std::size_t offset, std::size_t bytes) {
  while (bytes > 0) {
    const std::size_t now = std::min(bytes, kBackAtOnce);
    if (fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(now)) != 0) {
      if (errno == EINTR) continue;
      return refused("back", bytes, errno);
    }
    offset += now;
    bytes -= now;
  }
  return {};
}

Result<bool> back_mapping(std::byte* at, std::size_t bytes) {
  while (madvise(at, bytes, MADV_POPULATE_WRITE) != 0) {
    if (errno == EINVAL) return false;
    // EFAULT: touching a page would have been a SIGBUS.
    if (errno != EINTR) return refused("back", bytes, errno == EFAULT ? ENOMEM : errno);
  }
  return true;
}

void drop_shared_memory(int fd, std::size_t offset, std::size_t bytes) noexcept {
  while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                   static_cast<off_t>(bytes)) != 0 &&
         errno == EINTR) {
  }
}

Result<std::byte*> map_shared_memory(int fd, std::size_t offset, std::size_t bytes, bool writes) {
  const int access = writes ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const at = mmap(nullptr, bytes, access, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return refused("map", bytes, errno);
  return static_cast<std::byte*>(at);
}

std::size_t page_bytes() noexcept { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace hansa
