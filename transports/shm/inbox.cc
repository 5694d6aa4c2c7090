#include "transports/shm/inbox.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/shared_memory.hpp"
#include "transports/process.hpp"

namespace hansa::shm {

std::size_t Layout::bytes() const { return whole_pages(cells_at(lanes)); }

Result<std::shared_ptr<Inbox>> Inbox::create(const Layout& layout, Rank ranks) {
  HANSA_ASSIGN_OR_RETURN(const int fd,
                         create_shared_memory(fmt::format("hansa-inbox-{:016x}", random_u64()).c_str(),
                                              layout.bytes() * static_cast<std::size_t>(ranks)));
  return std::shared_ptr<Inbox>(new Inbox(fd, layout, ranks));
}

Inbox::~Inbox() {
  for (std::byte* const region : regions_) {
    if (region != nullptr) munmap(region, layout_.bytes());
  }
  close(fd_);
}

Result<std::byte*> Inbox::region(Rank sender) {
  const std::lock_guard lock(mutex_);
  std::byte*& region = regions_[static_cast<std::size_t>(sender)];
  if (region != nullptr) return region;
  const std::size_t offset = layout_.bytes() * static_cast<std::size_t>(sender);
  HANSA_RETURN_IF_ERROR(back_shared_memory(fd_, offset, layout_.bytes()));
  HANSA_ASSIGN_OR_RETURN(region, map_shared_memory(fd_, offset, layout_.bytes()));
  return region;
}

Result<std::shared_ptr<std::byte>> map_region(int fd, const Layout& layout, Rank sender) {
  const std::size_t offset = layout.bytes() * static_cast<std::size_t>(sender);
  HANSA_RETURN_IF_ERROR(check_shared_memory(fd, offset + layout.bytes()));
  HANSA_ASSIGN_OR_RETURN(std::byte* const base, map_shared_memory(fd, offset, layout.bytes()));
  return std::shared_ptr<std::byte>(base, [bytes = layout.bytes()](std::byte* at) { munmap(at, bytes); });
}

}  // namespace hansa::shm
