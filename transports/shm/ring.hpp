// The protocol of a ring of cells between one sender and one receiver, both ends as small state machines.
//
// A cell is a flag word and a payload. The sender writes the payload, then the flag; the receiver sees
// the flag, reads the payload and later moves the ring's count of released messages on; the sender reads that
// count only when it believes the ring to be full, or waits for the readers of a post. So a message costs one
// line that moves from the sender's core to the receiver's if the payload fits beside the flag, and nothing
// else.
//
// The flag word says all about a message: | stamp 32 | posted 1 | bytes 17 | sequence 14 |. Message k (from
// 1) lies in cell (k-1) % cells with sequence k % 2^14; what a cell held before is `cells` messages older, so
// that its sequence never matches, and nothing is ever cleared. Of a message that is posted elsewhere the
// cell says where (billboard.hpp).
//
// Everything here is a template on Cells, which says how to reach the words, so that the exhaustive test runs
// this very code on a model of weak memory. Every member function touches shared words at most once: the
// interleavings of whole calls are all there are.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hansa::shm {

inline constexpr std::uint32_t kSequenceBits = 14, kBytesBits = 18;
inline constexpr std::uint32_t kPosted = 1u << (kBytesBits - 1);  // in a message's bytes; no cell is so long

constexpr std::uint64_t flag_of(std::uint64_t message, std::uint32_t bytes, std::uint32_t stamp) {
  return std::uint64_t{stamp} << 32 | std::uint64_t{bytes} << kSequenceBits |
         (message & ((1u << kSequenceBits) - 1));
}
constexpr std::uint32_t stamp_in(std::uint64_t flag) { return static_cast<std::uint32_t>(flag >> 32); }
constexpr std::uint32_t bytes_in(std::uint64_t flag) {
  return static_cast<std::uint32_t>(flag >> kSequenceBits) & ((1u << kBytesBits) - 1);
}
constexpr bool is_message(std::uint64_t flag, std::uint64_t message) {
  return ((flag ^ message) & ((1u << kSequenceBits) - 1)) == 0;
}

// Cells offers count() (a power of two below 2^14), flag(i) and released() (words with load and store), and
// prefetch(i, bytes), a hint that a message of that length will soon be written into cell i.
template <class Cells>
class Sender {
 public:
  static constexpr std::uint32_t kNone = ~0u;

  explicit Sender(Cells cells) : cells_(cells) {}
  Cells& cells() { return cells_; }

  // The cell of the message `ahead` places behind the next one, or kNone while that one is taken. Acquires
  // the receiver's reads of what the cell held.
  std::uint32_t reserve(std::uint32_t ahead) {
    if (!fits(ahead)) {
      learn();
      if (!fits(ahead)) return kNone;
    }
    return cell(sent_ + ahead);
  }
  std::uint64_t sent() const { return sent_; }
  // The cell of the next message, once reserve(0) has shown that it is free.
  std::uint32_t next() const { return cell(sent_); }
  // Whether the receiver has released that one, of those that were sent; acquires as reserve() does.
  bool is_released(std::uint64_t message) {
    if (released_ <= message) learn();
    return released_ > message;
  }
  void commit(std::uint32_t bytes, std::uint32_t stamp) {
    const std::uint64_t message = sent_++;
    cells_.flag(cell(message)).store(flag_of(message + 1, bytes, stamp), std::memory_order_release);
  }
  // Taking the next cell's lines from the receiver's cache costs as much as all the rest of a message; done
  // after a commit, it overlaps with the wait for the answer.
  void prefetch(std::uint32_t bytes) const {
    if (fits(0)) cells_.prefetch(cell(sent_), bytes);
  }

 private:
  // A count that the receiver cannot have reached (a hostile one) changes nothing: a cell once free stays
  // free.
  void learn() {
    const std::uint64_t now = cells_.released().load(std::memory_order_acquire);
    if (now - released_ <= sent_ - released_) released_ = now;
  }
  bool fits(std::uint32_t ahead) const { return sent_ + ahead - released_ < cells_.count(); }
  std::uint32_t cell(std::uint64_t message) const {
    return static_cast<std::uint32_t>(message) & (cells_.count() - 1);
  }

  Cells cells_;
  std::uint64_t sent_ = 0;
  std::uint64_t released_ = 0;  // as last read
};

template <class Cells>
class Receiver {
 public:
  struct Message {
    bool arrived;
    std::uint32_t cell;
    std::uint64_t flag;
  };

  explicit Receiver(Cells cells) : cells_(cells) {}
  Cells& cells() { return cells_; }

  // The message `ahead` places behind the oldest unreleased one. Acquires the sender's writes to its payload.
  // `flag` comes from the peer: its bytes may be anything.
  Message peek(std::uint32_t ahead) {
    const std::uint64_t message = received_ + ahead;
    const std::uint32_t cell = static_cast<std::uint32_t>(message) & (cells_.count() - 1);
    const std::uint64_t flag = cells_.flag(cell).load(std::memory_order_acquire);
    return {is_message(flag, message + 1), cell, flag};
  }
  void release() { cells_.released().store(++received_, std::memory_order_release); }

 private:
  Cells cells_;
  std::uint64_t received_ = 0;
};

}  // namespace hansa::shm
