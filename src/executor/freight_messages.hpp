// What the long messages of a call are at that go without slots (Freight in hansa/transport.hpp): those that
// have a place to land, and those that are on their way.
//
// Which messages these are both ends know: those of at least `freight_from` bytes in all chunks of a step but
// its first. The first goes by slots, and its stamp names the call and the length of all chunks, so that the
// others need none; while it flies, the receiver says where they land.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "hansa/plan.hpp"
#include "hansa/transport.hpp"

namespace hansa {

class FreightMessages {
 public:
  struct Voyage {
    std::uint32_t step = 0, chunk = 0;
    std::byte* memory = nullptr;
    std::byte* pad = nullptr;  // `memory`, if it is the workspace's
    Completion done = {};
    Voyage* origin = nullptr;   // of a launch: the landing that it leaves from
    std::uint32_t holders = 0;  // of a landing: launches that leave from it
  };
  // Of one channel: landings or launches, in order.
  struct Ring {
    Freight* freight = nullptr;
    std::size_t from = SIZE_MAX;  // bytes of the shortest message that goes so
    std::array<Voyage, Freight::kWindow> voyages;
    std::uint32_t begun = 0, ended = 0;
    std::uint32_t taken = 0;  // of landings: those whose step has run

    bool full() const { return begun - ended == Freight::kWindow; }
    Voyage& at(std::uint32_t number) { return voyages[number % Freight::kWindow]; }
    const Voyage& at(std::uint32_t number) const { return voyages[number % Freight::kWindow]; }
  };

  // `endpoint_of`: by channel.
  void bind(const Plan& plan, std::span<Endpoint* const> endpoint_of);
  // `chunked`: the call has several chunks; without them nothing goes so.
  void start(bool chunked);
  bool active() const { return active_; }
  bool carries(std::uint32_t channel, std::uint32_t chunk, std::size_t bytes) const {
    return active_ && chunk > 0 && bytes >= rings_[channel].from;
  }
  Ring& ring(std::uint32_t channel) { return rings_[channel]; }
  const Ring& ring(std::uint32_t channel) const { return rings_[channel]; }

  // Launches that are not done, of all.
  std::uint32_t flying() const { return flying_; }
  // The least chunk that has one; UINT32_MAX if none has.
  std::uint32_t oldest_chunk() const;
  // Whether one leaves from memory that the step's chunk must not write to yet.
  bool holds_back(std::uint32_t step, std::uint32_t chunk) const;
  // Steps that come before this one and touch bytes that it writes, or write such as it touches. None are
  // known of plans that are too long for that.
  bool knows_conflicts() const { return !earlier_.empty(); }
  std::span<const std::uint32_t> earlier(std::uint32_t step) const { return earlier_[step]; }

  void launch(std::uint32_t channel, const Voyage& voyage, std::size_t bytes);
  // Takes the launch that is done off; its pad is the caller's.
  void arrived(std::uint32_t channel);

 private:
  bool leaves(std::uint32_t step, std::uint32_t chunk) const;
  void find_conflicts();

  const Plan* plan_ = nullptr;
  bool bound_ = false, active_ = false;
  std::vector<Ring> rings_;  // by channel
  std::uint32_t flying_ = 0;
  std::vector<std::uint32_t> flying_of_;              // by step
  std::vector<std::vector<std::uint32_t>> earlier_;   // by step
  std::vector<std::vector<std::uint32_t>> channels_;  // by step, outgoing
};

}  // namespace hansa
