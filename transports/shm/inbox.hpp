// Where a rank receives: one memfd with a region for every sender. Memory backs the first page of those of
// connected peers, and each lane from its first message on (all of it at once where the kernel cannot do that
// through a mapping). A region is written by two processes, each its own words:
//
//   0     closed     1 line   owner: this rank's memory is shut (Gate)
//   128   inside     1 line   sender: it is reading or writing this rank's memory
//   256   ferried    1 line   sender: cells of the Ferry that are filled
//   384   unloaded   1 line   owner: cells of the Ferry that were read
//   512   released   1 line   owner: messages released, of lane 0; 128 bytes on that of lane 1, ...
//   ...   cells      of lane 0, then lane 1, ...: flag (8 bytes), payload (slot_bytes), 56 bytes unused
//   ...   ferry      from a page's start: its cells, backed by memory when first used
//
// Behind all regions lies the billboard's memory, written by the owner alone and backed when first used.
//
// 128 bytes between words that different cores write: two lines, since some cores fetch lines in pairs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "hansa/status.hpp"
#include "hansa/types.hpp"
#include "transports/slot_shape.hpp"

namespace hansa::shm {

using Word = std::atomic_ref<std::uint64_t>;

struct Layout {
  SlotShape shape;
  std::uint16_t lanes = 1;
  std::uint32_t ferry_cells = 0;

  static constexpr std::size_t kApart = 128;
  static constexpr std::size_t kFlagBytes = 8;
  static constexpr std::size_t kFerryCell = 16 * 1024, kFerryStride = kFerryCell + 64;
  std::size_t stride() const { return shape.bytes + 64; }
  std::size_t cells_at(std::uint16_t lane) const {
    return released_at(lanes) + lane * shape.count * stride();
  }
  std::size_t released_at(std::uint16_t lane) const { return kApart * (4u + lane); }
  std::size_t ferry_at() const;  // a whole page
  std::size_t bytes() const;     // whole pages
  // Of the billboard. Slots do not begin at the same place of a page, and so of a cache.
  std::size_t board_stride() const { return shape.bytes + 64; }
  std::size_t board_at(Rank ranks) const { return bytes() * static_cast<std::size_t>(ranks); }
  std::size_t board_bytes() const;  // whole pages
  Word ferried(std::byte* region) const { return word(region + 2 * kApart); }
  Word unloaded(std::byte* region) const { return word(region + 3 * kApart); }
  static Word word(std::byte* at) { return Word(*reinterpret_cast<std::uint64_t*>(at)); }
  friend bool operator==(const Layout&, const Layout&) = default;
};

// Backs a lane's cells of a mapped region with memory, if they are not. Either end, before it touches them.
Status back_lane(std::byte* region, const Layout& layout, std::uint16_t lane);

// One lane's ring, as ring.hpp wants it.
class Cells {
 public:
  Cells(std::byte* region, const Layout& layout, std::uint16_t lane)
      : cells_(region + layout.cells_at(lane)),
        released_(region + layout.released_at(lane)),
        stride_(layout.stride()),
        last_(layout.shape.count - 1) {}
  std::uint32_t count() const { return last_ + 1; }
  Word flag(std::uint32_t cell) const { return Layout::word(cells_ + cell * stride_); }
  Word released() const { return Layout::word(released_); }
  std::byte* payload(std::uint32_t cell) const { return cells_ + cell * stride_ + Layout::kFlagBytes; }
  // Longer messages take more than their flag's line.
  static constexpr std::uint32_t kBesideFlag = 64 - Layout::kFlagBytes;
  // Not the flag's line: the receiver is polling it, and would only be slowed down.
  void prefetch(std::uint32_t cell, std::uint32_t bytes) const {
    const std::byte* const first = cells_ + cell * stride_;
    const std::byte* const end = first + std::min<std::size_t>(bytes + Layout::kFlagBytes, kPrefetchMost);
    for (const std::byte* line = first + kLine; line < end; line += kLine) prefetch_for_write(line);
  }

 private:
  // Beyond it nothing was gained (16 KiB messages).
  static constexpr std::size_t kPrefetchMost = 4096, kLine = 64;
  static void prefetch_for_write(const std::byte* line) {
#if defined(__x86_64__)
    // Compilers emit it for machines known to have it only; every 64-bit one takes it, if only as a no-op.
    asm volatile("prefetchw %0" : : "m"(*line));
#else
    __builtin_prefetch(line, 1, 3);
#endif
  }

  std::byte* cells_;
  std::byte* released_;
  std::size_t stride_;
  std::uint32_t last_;  // the place of the last cell
};

// A region's gate, as gate.hpp wants it.
class GateWords {
 public:
  explicit GateWords(std::byte* region) : region_(region) {}
  Word closed() const { return Word(*reinterpret_cast<std::uint64_t*>(region_)); }
  Word inside() const { return Word(*reinterpret_cast<std::uint64_t*>(region_ + Layout::kApart)); }

 private:
  std::byte* region_;
};

// The owner's side, shared with the senders of this process, who use the same mapping. Any thread.
class Inbox {
 public:
  static Result<std::shared_ptr<Inbox>> create(const Layout& layout, Rank ranks);
  ~Inbox();
  int fd() const { return fd_; }
  const Layout& layout() const { return layout_; }
  // The region that `sender` writes, to be used from now on; lives as long as the inbox.
  Result<std::byte*> region(Rank sender);
  // The billboard's slots, for readers and, with memory behind them, for their writer.
  Result<const std::byte*> board();
  Result<std::byte*> back_board();

 private:
  Inbox(int fd, const Layout& layout, Rank ranks)
      : fd_(fd), layout_(layout), in_use_(static_cast<std::size_t>(ranks)) {}
  std::size_t board_at() const { return layout_.board_at(static_cast<Rank>(in_use_.size())); }
  std::size_t bytes() const { return board_at() + layout_.board_bytes(); }
  Status map();
  const int fd_;
  const Layout layout_;
  std::mutex mutex_;
  std::byte* base_ = nullptr;  // of all of it; null: not mapped yet
  std::vector<bool> in_use_;   // by sender
};

// Maps the region of `sender`, or the billboard, of the inbox behind a descriptor that another process gave
// us.
Result<std::shared_ptr<std::byte>> map_region(int fd, const Layout& layout, Rank sender);
Result<std::shared_ptr<const std::byte>> map_board(int fd, const Layout& layout, Rank ranks);

}  // namespace hansa::shm
