#include "transports/shm/inbox.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/shared_memory.hpp"
#include "transports/process.hpp"

namespace hansa::shm {
namespace {

Result<std::shared_ptr<std::byte>> map_part(int fd, std::size_t offset, std::size_t bytes, bool writes) {
  HANSA_RETURN_IF_ERROR(check_shared_memory(fd, offset + bytes));
  HANSA_ASSIGN_OR_RETURN(std::byte* const base, map_shared_memory(fd, offset, bytes, writes));
  return std::shared_ptr<std::byte>(base, [bytes](std::byte* at) { munmap(at, bytes); });
}

}  // namespace

std::size_t Layout::ferry_at() const { return whole_pages(cells_at(lanes)); }

std::size_t Layout::bytes() const { return ferry_at() + whole_pages(ferry_cells * kFerryStride); }

std::size_t Layout::board_bytes() const { return whole_pages(shape.count * board_stride()); }

Status back_lane(std::byte* region, const Layout& layout, std::uint16_t lane) {
  const std::size_t first = layout.cells_at(lane) / page_bytes() * page_bytes();
  const auto end = whole_pages(layout.cells_at(static_cast<std::uint16_t>(lane + 1)));
  return back_mapping(region + first, end - first).status();
}

Result<std::shared_ptr<Inbox>> Inbox::create(const Layout& layout, Rank ranks) {
  HANSA_ASSIGN_OR_RETURN(const int fd,
                         create_shared_memory(fmt::format("hansa-inbox-{:016x}", random_u64()).c_str(),
                                              layout.board_at(ranks) + layout.board_bytes()));
  return std::shared_ptr<Inbox>(new Inbox(fd, layout, ranks));
}

Inbox::~Inbox() {
  if (base_ != nullptr) munmap(base_, bytes());
  close(fd_);
}

Status Inbox::map() {
  if (base_ != nullptr) return {};
  HANSA_ASSIGN_OR_RETURN(base_, map_shared_memory(fd_, 0, bytes()));
  return {};
}

Result<const std::byte*> Inbox::board() {
  const std::lock_guard lock(mutex_);
  HANSA_RETURN_IF_ERROR(map());
  return base_ + board_at();
}

Result<std::byte*> Inbox::back_board() {
  const std::lock_guard lock(mutex_);
  HANSA_RETURN_IF_ERROR(map());
  HANSA_ASSIGN_OR_RETURN(const bool backed, back_mapping(base_ + board_at(), layout_.board_bytes()));
  if (!backed) HANSA_RETURN_IF_ERROR(back_shared_memory(fd_, board_at(), layout_.board_bytes()));
  return base_ + board_at();
}

Result<std::byte*> Inbox::region(Rank sender) {
  const std::lock_guard lock(mutex_);
  HANSA_RETURN_IF_ERROR(map());
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
  return map_part(fd, layout.bytes() * static_cast<std::size_t>(sender), layout.bytes(), true);
}

Result<std::shared_ptr<const std::byte>> map_board(int fd, const Layout& layout, Rank ranks) {
  HANSA_ASSIGN_OR_RETURN(auto board, map_part(fd, layout.board_at(ranks), layout.board_bytes(), false));
  return std::shared_ptr<const std::byte>(std::move(board));
}

}  // namespace hansa::shm
