// Walks the bytes of one operand of a running step, whatever they lie in: user blocks, scratch slots, the
// cells of a message, or a peer's memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "executor/workspace.hpp"
#include "hansa/transport.hpp"

namespace hansa {

class OperandCursor {
 public:
  // Of memory of a peer that is mapped: how much is done before the call's end is looked for.
  static constexpr std::size_t kMappedPiece = std::size_t{1} << 20;

  // Contiguous memory, moved to where the next block lies by place_at().
  static OperandCursor local() { return {}; }
  // A message that lies packed in one run of memory.
  static OperandCursor run(std::byte* memory) {
    OperandCursor cursor;
    cursor.at_ = memory;
    return cursor;
  }
  // The cells of a message, packed, from its first cell on.
  static OperandCursor message(Endpoint* endpoint, std::uint16_t lane, bool outgoing) {
    OperandCursor cursor;
    cursor.endpoint_ = endpoint;
    cursor.slot_bytes_ = endpoint->capabilities().slot_bytes;
    cursor.lane_ = lane;
    cursor.outgoing_ = outgoing;
    cursor.enter(0);
    return cursor;
  }
  // The same, posted: what is written is a message to several.
  static OperandCursor post(Billboard* billboard, std::size_t slot_bytes) {
    OperandCursor cursor;
    cursor.billboard_ = billboard;
    cursor.slot_bytes_ = slot_bytes;
    cursor.outgoing_ = true;
    cursor.enter(0);
    return cursor;
  }

  // A peer's memory, one run; null where it is not mapped and must be copied, so many bytes at a time.
  static OperandCursor remote(std::byte* mapped, std::size_t piece) {
    OperandCursor cursor;
    cursor.remote_ = true;
    cursor.piece_ = mapped != nullptr ? kMappedPiece : piece;
    cursor.at_ = mapped;
    return cursor;
  }
  // One run of memory that peers will read.
  static OperandCursor depot(std::byte* memory) {
    OperandCursor cursor = run(memory);
    cursor.depot_ = true;
    return cursor;
  }
  // Nothing to be done.
  static OperandCursor idle() {
    OperandCursor cursor;
    cursor.idle_ = true;
    return cursor;
  }

  bool is_message() const noexcept { return slot_bytes_ > 0; }
  bool is_remote() const noexcept { return remote_; }
  bool is_copied() const noexcept { return remote_ && at_ == nullptr; }
  bool is_idle() const noexcept { return idle_; }
  bool is_depot() const noexcept { return depot_; }
  // Bytes passed so far of a peer's memory.
  std::size_t offset() const noexcept { return offset_; }
  // Nothing is put by between a copy in and a copy out, so no cache need hold a piece.
  void widen() noexcept { piece_ = kMappedPiece; }
  void place_at(std::byte* at) noexcept { at_ = at; }
  std::byte* data() const noexcept { return at_; }
  // How many of the next `bytes` lie together.
  std::size_t together(std::size_t bytes) const noexcept {
    return is_message() ? std::min(bytes, left_) : is_remote() ? std::min(bytes, piece_) : bytes;
  }
  void skip(std::size_t bytes) noexcept {
    offset_ += bytes;
    if (at_ != nullptr) at_ += bytes;
    if (!is_message()) return;
    left_ -= bytes;
    if (left_ == 0) left_behind_ = true;
  }
  // Enters the next cell if the last one is used up. Called before reading on, so that a message that ends
  // with its cell does not look for one that does not exist.
  void settle() noexcept {
    if (left_behind_) enter(cell_ + 1);
  }

 private:
  void enter(std::uint32_t cell) noexcept {
    cell_ = cell;
    left_behind_ = false;
    left_ = slot_bytes_;
    at_ = billboard_ != nullptr ? billboard_->reserve(cell)
          : outgoing_           ? endpoint_->reserve(lane_, cell)
                                : const_cast<std::byte*>(endpoint_->peek(lane_, cell).data);
  }

  Endpoint* endpoint_ = nullptr;
  Billboard* billboard_ = nullptr;
  std::size_t slot_bytes_ = 0;
  std::uint16_t lane_ = 0;
  bool outgoing_ = false, left_behind_ = false, remote_ = false, idle_ = false, depot_ = false;
  std::uint32_t cell_ = 0;
  std::size_t left_ = 0, offset_ = 0, piece_ = 0;
  std::byte* at_ = nullptr;
};

}  // namespace hansa
