// The long messages of a lane that go without slots, both ways. Plain bookkeeping; posting is Peer's.
// Counters run from 0 and wrap.
#pragma once

#include <array>
#include <memory>

#include "hansa/transport.hpp"
#include "transports/libfabric/registry.hpp"
#include "transports/libfabric/ring.hpp"

namespace hansa::libfabric {

// Lanes that carry freight, of those that there are: more are the engine's for notes.
inline constexpr std::uint16_t kFreightLanes = 2;
// In tags, its messages are those of a lane so much higher.
inline constexpr std::uint16_t kFreightTagLane = 8;
// Shorter messages go by slots: what lands elsewhere costs a message that says so, or a share of one.
inline constexpr std::size_t kFreightFrom = std::size_t{32} * 1024;

struct Voyage : Operation {
  Bytes memory;                // the user's
  Completion* done = nullptr;  // null if nobody waits for it any more
  Registry::Berth berth;       // taken before the first try to post it
  std::uint32_t number = 0;    // of the lane's, once posted
  std::unique_ptr<std::byte[]>
      stand_in;  // of a landing that was called off, for what the peer may still send

  bool touches_user() const { return busy && !berth.pad && !stand_in; }

  void finish(Completion::State state) {
    if (done != nullptr) done->state = state;
    done = nullptr;
  }
};

struct FreightLane {
  FreightLane(Poster* poster, std::uint16_t lane) {
    for (auto* voyages : {&landings, &launches}) {
      for (Voyage& voyage : *voyages) {
        voyage.poster = poster;
        voyage.lane = lane;
        voyage.purpose = voyages == &landings ? Purpose::kLanding : Purpose::kLaunch;
      }
    }
  }
  Voyage& landing(std::uint32_t number) { return landings[number % Freight::kWindow]; }
  Voyage& launch(std::uint32_t number) { return launches[number % Freight::kWindow]; }
  static bool any_busy(const std::array<Voyage, Freight::kWindow>& voyages) {
    return std::any_of(voyages.begin(), voyages.end(), [](const Voyage& voyage) { return voyage.busy; });
  }
  // With the provider, and not in a pad.
  static bool any_at_user(const std::array<Voyage, Freight::kWindow>& voyages) {
    return std::any_of(voyages.begin(), voyages.end(),
                       [](const Voyage& voyage) { return voyage.touches_user(); });
  }
  bool waits() const { return landed != landings_posted || launched != launches_posted; }

  std::array<Voyage, Freight::kWindow> landings, launches;
  std::uint32_t landed = 0;           // by the user
  std::uint32_t landings_posted = 0;  // that the provider has taken
  std::uint32_t told = 0;             // the last value of `landings_posted` that the peer was sent
  std::uint32_t arrived = 0;          // messages that have come
  std::uint32_t launched = 0;         // by the user
  std::uint32_t launches_posted = 0;
  std::uint32_t limit = 0;  // the peer has landings for all below
};

}  // namespace hansa::libfabric
