#include "transports/shm/inbox.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/shared_memory.hpp"
#include "transports/process.hpp"

namespace hansa::shm {

std::size_t Layout::ferry_at() const { return whole_pages(cells_at(lanes)); }

std::size_t Layout::bytes() const { return ferry_at() + whole_pages(ferry_cells * kFerryStride); }

Status back_lane(std::byte* region, const Layout& layout, std::uint16_t lane) {
  const std::size_t first = layout.cells_at(lane) / page_bytes() * page_bytes();
  const auto end = whole_pages(layout.cells_at(static_cast<std::uint16_t>(lane + 1)));
  return back_mapping(region + first, end - first).status();
}

Result<std::shared_ptr<Inbox>> Inbox::create(const Layout& layout, Rank ranks) {
  HANSA_ASSIGN_OR_RETURN(const int fd,
                         create_shared_memory(fmt::format("hansa-inbox-{:016x}", random_u64()).c_str(),
                                              layout.bytes() * static_cast<std::size_t>(ranks)));
  return std::shared_ptr<Inbox>(new Inbox(fd, layout, ranks));
}

Inbox::~Inbox() {
  if (base_ != nullptr) munmap(base_, bytes());
  close(fd_);
}

Result<std::byte*> Inbox::region(Rank sender) {
  const std::lock_guard lock(mutex_);
  if (base_ == nullptr) {
    HANSA_ASSIGN_OR_RETURN(base_, map_shared_memory(fd_, 0, bytes()));
  }
  const auto index = static_cast<std::size_t>(sender);
  const std::size_t offset = layout_.bytes() * index;
  if (!in_use_[index]) {
    HANSA_ASSIGN_OR_RETURN(const bool by_lane, back_mapping(base_ + offset, page_bytes()));
    if (!by_lane) HANSA_RETURN_IF_ERROR(back_shared_memory(fd_, offset, layout_.ferry_at()));
    in_use_[index] = true;
  }
  return base_ + offset;
}

Result<std::shared_ptr<std::byte>> map_region(int fd, const Layout& layout, Rank sender) {
  const std::size_t offset = layout.bytes() * static_cast<std::size_t>(sender);
  HANSA_RETURN_IF_ERROR(check_shared_memory(fd, offset + layout.bytes()));
  HANSA_ASSIGN_OR_RETURN(std::byte* const base, map_shared_memory(fd, offset, layout.bytes()));
  return std::shared_ptr<std::byte>(base, [bytes = layout.bytes()](std::byte* at) { munmap(at, bytes); });
}

}  // namespace hansa::shm
