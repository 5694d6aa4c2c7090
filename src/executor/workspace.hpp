// Memory that executions work in, one at a time: what they need is asked for when a call starts, grows to the
// largest need so far and stays.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/log.hpp"
#include "base/store_gauge.hpp"
#include "hansa/memory.hpp"

namespace hansa {

class Workspace {
 public:
  // Bytes copied at a time where memory is reached by copies: small enough to stay in the core's own cache
  // between the copy in, the combine and the copy out.
  static constexpr std::size_t kPiece = 128 * 1024;

  // `memory` outlives this; null: there is no depot.
  explicit Workspace(Memory* memory = nullptr) : memory_(memory) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { give_up_depot(); }

  // At least so many bytes, of any content, aligned to cache lines.
  std::byte* scratch(std::size_t bytes) { return scratch_.at_least(bytes); }
  std::size_t bytes() const {
    return scratch_.bytes() + pieces_.bytes() + pads_.size() * pad_bytes_ + depot_bytes_;
  }
  // Room for so many pieces, each of which fits a cache with its like.
  std::byte* pieces(std::size_t count) { return pieces_.at_least(count * kPiece); }

  // Memory that peers map: at least so many bytes, where what is left lies for them to read. Null where there
  // is none to be had, which is said once; so much is not asked for again. Stays where it is while the call
  // lasts.
  std::byte* depot(std::size_t bytes) {
    if (bytes > depot_bytes_) [[unlikely]]
      grow_depot(bytes);
    return bytes <= depot_bytes_ ? depot_ : nullptr;
  }

  // Told of every copy into the depot, it says how the next is to be written.
  StoreGauge& depot_stores() { return depot_stores_; }

  // Pads are for messages that lie in no memory of the user's, of so many bytes at most. Those that the last
  // call did not give back are taken for free: it has failed, and its communicator runs no more.
  void start_pads(std::size_t bytes) {
    if (bytes > pad_bytes_) pads_.clear();
    pad_bytes_ = std::max(pad_bytes_, bytes);
    free_pads_.clear();
    for (Area& pad : pads_) free_pads_.push_back(pad.at_least(pad_bytes_));
  }
  std::byte* take_pad() {
    if (free_pads_.empty()) free_pads_.push_back(pads_.emplace_back().at_least(pad_bytes_));
    std::byte* const pad = free_pads_.back();
    free_pads_.pop_back();
    return pad;
  }
  // Null is none.
  void give_pad(std::byte* pad) {
    if (pad != nullptr) free_pads_.push_back(pad);
  }

 private:
  class Area {
   public:
    std::byte* at_least(std::size_t bytes) {
      if (bytes > bytes_) [[unlikely]]
        grow(bytes);
      return memory_.get();
    }
    std::size_t bytes() const { return bytes_; }

   private:
    [[gnu::cold, gnu::noinline]] void grow(std::size_t bytes) {
      bytes_ = 0;  // until there is memory again
      memory_.reset();
      memory_.reset(static_cast<std::byte*>(::operator new(bytes, kLine)));
      bytes_ = bytes;
    }

    static constexpr std::align_val_t kLine{64};
    struct Free {
      void operator()(std::byte* memory) const { ::operator delete(memory, kLine); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t bytes_ = 0;
  };
  [[gnu::cold, gnu::noinline]] void grow_depot(std::size_t bytes) {
    if (memory_ == nullptr || bytes >= refused_) return;
    const auto memory = memory_->allocate(bytes);
    if (!memory.ok()) {
      HANSA_WARN("no memory that all ranks of this host can map, so large messages take longer: {}",
                 memory.status().message());
      refused_ = bytes;
      return;
    }
    give_up_depot();
    depot_ = memory.value();
    depot_bytes_ = bytes;
  }
  // A peer may still read, of a call that has failed here.
  void give_up_depot() {
    if (depot_ != nullptr) (void)memory_->leave(depot_);
    depot_ = nullptr;
    depot_bytes_ = 0;
  }

  Memory* memory_;
  std::byte* depot_ = nullptr;
  std::size_t depot_bytes_ = 0, refused_ = SIZE_MAX;
  // What is left there may come from memory.
  StoreGauge depot_stores_{std::chrono::nanoseconds(260)};
  Area scratch_, pieces_;
  std::vector<Area> pads_;
  std::size_t pad_bytes_ = 0;
  std::vector<std::byte*> free_pads_;
};

}  // namespace hansa
