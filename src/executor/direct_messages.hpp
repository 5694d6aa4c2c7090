// What a direct plan's ends tell each other besides the messages themselves: the notes on the return lanes,
// and what is known so far of each operand's remote memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hansa/device.hpp"
#include "hansa/plan.hpp"
#include "hansa/status.hpp"
#include "hansa/transport.hpp"

namespace hansa {

// What a message says that its receiver reads where it lies. `factor`: by what it multiplies what it reads.
struct Offer {
  Descriptor memory;
  Factor factor;
};

// How a message of a direct plan moves after all; its sender decides.
enum class Route : std::uint8_t {
  kMemory,  // from the user's memory, or into it
  kSlots,
  kDepot  // its receiver reads it where the sender has left it, whoever of the two was to copy
};

class DirectMessages {
 public:
  // Messages of one step that lie in the depot for each peer.
  static constexpr std::uint32_t kDeposits = 2;

  // Memory of a peer, as a running step reaches it.
  struct Remote {
    Descriptor descriptor;
    Factor factor;  // of what is read there
    std::byte* mapped = nullptr;
    bool known = false;            // the peer has sent the descriptor, of its `chunk`
    bool reached = false;          // and it was looked at: `mapped` is final
    Route route = Route::kMemory;  // the receiver learns it from the message's first slot
    std::uint32_t chunk = 0;
  };

  // `endpoint_of`: by channel. Both outlive this.
  void bind(const Plan& plan, std::span<Endpoint* const> endpoint_of);
  void start(std::uint32_t number, std::uint32_t stamp);

  // Reads all notes that have come. kInvalidUsage if a peer is in another call.
  Status drain();
  bool room_for_note(std::uint32_t channel) const;
  // For the incoming channel's message at `position`: its memory may be written / was read.
  void send_ready(std::uint32_t channel, std::uint32_t position, std::uint32_t chunk,
                  const Descriptor& memory);
  void send_read(std::uint32_t channel, std::uint32_t position);

  Remote& remote(std::uint32_t operand) { return remotes_[operand]; }
  const Remote& remote(std::uint32_t operand) const { return remotes_[operand]; }
  // Takes what a peer offers or accepts for the operand; false if it is not of `bytes`.
  bool learn(std::uint32_t operand, std::uint32_t channel, const Offer& offer, std::size_t bytes);

  // The operand's message was left where its receiver will read it.
  void set_unread(std::uint32_t operand) {
    ++unread_[operand];
    ++all_unread_;
  }
  // Whether the memory that the operand's peer accepts into is its own alone, as it has said of a chunk.
  bool is_private(std::uint32_t operand) const { return private_[operand]; }
  // How many of an operand's messages their receiver has not said to have read; of all.
  std::uint32_t unread(std::uint32_t operand) const { return unread_[operand]; }
  std::uint32_t unread() const { return all_unread_; }
  bool announced(std::uint32_t step) const { return announced_[step]; }
  void set_announced(std::uint32_t step) { announced_[step] = true; }
  void forget_announced(std::uint32_t step) { announced_[step] = false; }

 private:
  struct Note {
    std::uint32_t number = 0, position = 0;
    std::uint32_t ready = 0;  // else read
    std::uint32_t chunk = 0;
    Descriptor memory;
  };

  void send(std::uint32_t channel, const Note& note);

  const Plan* plan_ = nullptr;
  std::span<Endpoint* const> endpoint_of_;
  std::uint32_t number_ = 0, stamp_ = 0;
  std::vector<std::vector<std::uint32_t>> operands_;  // by channel, by position
  std::vector<Remote> remotes_;                       // by operand
  std::vector<std::uint32_t> unread_;                 // by operand
  std::uint32_t all_unread_ = 0;
  std::vector<bool> private_;    // by operand
  std::vector<bool> announced_;  // by step
};

}  // namespace hansa
