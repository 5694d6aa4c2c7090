// Copies between the private memories of two processes that work together: one end writes into a ring that
// both map, the other reads from it. Two copies instead of the kernel's one, but each by its own core, none
// that pins pages, and both at once. Where the kernel's copy is dear this is several times as fast; it needs
// the peer to poll (Completion::attended).
//
// A cell is a line that says what it is, and up to kCellBytes. Either end may ask for memory (the other
// answers with cells) and bring cells for the other's memory, within what the other has offered. What was
// brought lies in its place once take_all() has run after a message that was sent behind it. One thread at a
// time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/store_gauge.hpp"
#include "hansa/transport.hpp"
#include "transports/shm/inbox.hpp"

namespace hansa::shm {

class Ferry {
 public:
  static constexpr std::size_t kMost = 8;

  // Regions as ShmEndpoint has them.
  Ferry(Rank peer, std::byte* incoming, std::byte* outgoing, const Layout& layout,
        StoreGauge stores = StoreGauge());

  // Whether the ring to the peer is there: memory backs it when this is first called, or never.
  bool ready() noexcept;
  // The peer may reach this memory from now on; of the last kOffers.
  void offer(BytesView memory) noexcept;
  // Begun while others are under way they take their turns; false, and nothing begins, where kMost of a kind
  // are. `done` and the memory stay until it is done or stop() was called.
  bool get(std::uint64_t address, Bytes into, Completion& done) noexcept;
  bool put(std::uint64_t address, BytesView from, Completion& done) noexcept;
  // Moves a cell in and a cell out where there are any; true if it did.
  bool poll() noexcept;
  void take_all() noexcept {
    while (arrived() && !stopped_ && failure_.ok()) take();
  }
  // Moves nothing ever after.
  void stop() noexcept { stopped_ = true; }
  // Why nothing moves ever after, with the peer's name: it asked for or brought to what was not offered, sent
  // what was not asked for, or there is no memory to answer.
  const Status& failure() const noexcept { return failure_; }

 private:
  // A call makes 256 to one peer at most. A step that cannot run yet makes its own again and again: those
  // among the last few are not counted twice, and still outlast the call.
  static constexpr std::size_t kOffers = 512, kRecent = 16;
  enum class Kind : std::uint64_t { kAsk, kAnswer, kBring };
  struct Head {
    Kind kind;
    std::uint64_t address, bytes;
  };
  // Bytes still to be moved, and from or to where.
  struct Work {
    std::byte* at = nullptr;
    std::uint64_t address = 0, left = 0;
    Completion* done = nullptr;
  };

  // In the order they were begun; the first is under way.
  class Queue {
   public:
    bool empty() const noexcept { return count_ == 0; }
    bool full() const noexcept { return count_ == kMost; }
    Work& first() noexcept { return works_[first_ % kMost]; }
    void add(const Work& work) noexcept { works_[(first_ + count_++) % kMost] = work; }
    // The first is done.
    void finish() noexcept {
      first().done->state = Completion::State::kDone;
      ++first_;
      --count_;
    }

   private:
    std::array<Work, kMost> works_{};
    std::size_t first_ = 0, count_ = 0;
  };

  bool arrived() const noexcept {
    return layout_.ferried(incoming_).load(std::memory_order_acquire) != taken_;
  }
  void take() noexcept;
  bool give() noexcept;
  // What is wrong with the cell; null if nothing is.
  const char* accept(const Head& head, const std::byte* payload) noexcept;
  void ask() noexcept;
  void ship(Kind kind, Work& work) noexcept;
  void fill(std::byte* to, const std::byte* from, std::size_t bytes) noexcept;
  bool offered(std::uint64_t address, std::uint64_t bytes) const noexcept;
  bool fits() const noexcept { return filled_ - released_ < layout_.ferry_cells; }
  std::byte* cell(std::byte* region, std::uint64_t number) const noexcept;

  Rank peer_;
  Layout layout_;
  StoreGauge stores_;
  std::byte *incoming_, *outgoing_;
  std::uint64_t filled_ = 0, released_ = 0;  // of the outgoing ring; `released_` as last read
  std::uint64_t taken_ = 0;                  // of the incoming ring
  Queue gets_, puts_;
  Work asked_;                    // by the peer
  bool asking_ = false;           // for the first of the gets, still to be said
  std::optional<Status> backed_;  // of the outgoing ring
  Status failure_;
  bool stopped_ = false, turn_ = false;
  std::array<BytesView, kOffers> offers_{};
  std::size_t last_offer_ = 0;
};

// Whether the kernel's copy between processes costs so much more than a copy within one that two copies are
// faster. Measures it: some 50 us.
bool single_copy_is_dear();

}  // namespace hansa::shm
