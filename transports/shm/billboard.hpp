// What several peers get alike, written once: slots at the end of a rank's inbox, which all of them map. A
// reader's own cell says which slot a message lies in, and that it is released says that the slot may be
// written again, so that a post costs each reader one line beside the bytes and nobody any further word.
// Readers trust no cell: a slot that is none fails their transport.
#pragma once

#include <chrono>
#include <vector>

#include "base/store_gauge.hpp"
#include "hansa/transport.hpp"
#include "transports/shm/inbox.hpp"

namespace hansa::shm {

class ShmEndpoint;

class OwnBillboard final : public Billboard {
 public:
  // `inbox` outlives this.
  explicit OwnBillboard(Inbox& inbox);

  // A place for each endpoint, which it leaves before it goes. What its reader has not released stays.
  void join(std::uint32_t place, ShmEndpoint& endpoint);
  void leave(std::uint32_t place);

  std::byte* reserve(std::uint32_t ahead) noexcept override;
  void commit(std::span<const Reader> readers, std::uint32_t bytes, std::uint32_t stamp) noexcept override;
  std::size_t streams_from() const noexcept override;

 private:
  using Clock = std::chrono::steady_clock;
  // Who has to release a post, and which of its messages that is.
  struct Taker {
    Reader reader;
    std::uint64_t message = 0;
  };

  std::uint32_t slot_of(std::uint64_t post) const;
  bool has_released(const Taker& taker) const;
  bool is_free(std::uint64_t post);

  Inbox& inbox_;
  std::byte* slots_ = nullptr;  // null: not looked for yet, or `refused_`
  bool refused_ = false;
  std::uint64_t posted_ = 0, freed_ = 0;  // posts; the oldest that somebody may still read
  std::size_t joined_ = 0;
  std::vector<ShmEndpoint*> endpoints_;     // by place; null: nobody
  std::vector<std::vector<Taker>> takers_;  // by slot
  StoreGauge stores_;
  // Since when the next post is filled, and how long its first slot took, where that is known.
  Clock::time_point filling_{};
  Clock::duration took_{};
};

}  // namespace hansa::shm
