// Where long messages land: what the receiver has opened and the sender fills, under a mutex.
#pragma once

#include <array>
#include <cstring>
#include <mutex>
#include <vector>

#include "hansa/transport.hpp"

namespace hansa::inproc {

// One direction of all lanes between two ranks. land(), complete() and close() are the receiver's, the others
// the sender's.
class Landings {
 public:
  explicit Landings(std::uint16_t lanes) : lanes_(lanes) {}

  void land(std::uint16_t lane, Bytes into, Completion& done) {
    const std::lock_guard lock(mutex_);
    Lane& one = lanes_[lane];
    one.places[one.opened++ % Freight::kWindow] = {into, &done};
  }
  // Tells of what has landed; true if anything has.
  bool complete() {
    const std::lock_guard lock(mutex_);
    bool any = false;
    for (Lane& lane : lanes_) {
      for (; lane.told != lane.filled; ++lane.told, any = true)
        lane.places[lane.told % Freight::kWindow].finish();
    }
    return any;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    for (Lane& lane : lanes_) lane.opened = lane.told = lane.filled;
  }

  bool ready(std::uint16_t lane) {
    const std::lock_guard lock(mutex_);
    return lanes_[lane].opened != lanes_[lane].filled;
  }
  void fill(std::uint16_t lane, BytesView from) {
    const std::lock_guard lock(mutex_);
    Lane& one = lanes_[lane];
    if (one.opened == one.filled) return;  // closed since
    Place& place = one.places[one.filled++ % Freight::kWindow];
    place.fits = from.size() == place.into.size();
    if (place.fits) std::memcpy(place.into.data(), from.data(), from.size());
  }

 private:
  struct Place {
    Bytes into;
    Completion* done = nullptr;
    bool fits = false;

    void finish() const { done->state = fits ? Completion::State::kDone : Completion::State::kFailed; }
  };
  struct Lane {
    std::array<Place, Freight::kWindow> places;
    std::uint32_t opened = 0, filled = 0, told = 0;
  };

  std::mutex mutex_;
  std::vector<Lane> lanes_;
};

}  // namespace hansa::inproc
