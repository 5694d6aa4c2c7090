// The two directions of one lane to one peer, whose pieces lie in slots of several rails' rings.
//
// A piece is one slot of what the user sees. Who sends deals it to a rail when it is reserved; who receives
// puts pieces in order by their numbers and drops what it has seen. The sender has at most `slots` pieces
// that the receiver's user has not given back, which is what one rail's ring alone can hold: so whichever
// rails die, those that are left have room, and a slot is not used again while its piece may have to go
// again.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hansa/transport.hpp"
#include "transports/rails/wire.hpp"

namespace hansa::rails {

using Clock = std::chrono::steady_clock;
using Rail = std::uint8_t;
inline constexpr Rail kNoRail = 0xff;
inline constexpr Clock::time_point kNever = Clock::time_point::max();

// One rail towards one peer.
struct Way {
  std::unique_ptr<Endpoint> endpoint;  // null: never connected
  bool up = false;                     // new pieces may go here
  std::uint32_t in_flight = 0;         // pieces that it is to deliver, and that are not known to have come
  Clock::time_point wanted = kNever;   // since when it has had no slot for a piece
};
using Ways = std::vector<Way>;

class OutLane {
 public:
  OutLane(Ways& ways, std::uint16_t lane, std::uint32_t slots)
      : ways_(ways), lane_(lane), pieces_(slots), held_(ways.size()) {}

  // As Endpoint's. `deal` says on which rails a piece may go, the best first, until kNoRail.
  using Deal = std::function<Rail(std::size_t attempt)>;
  std::byte* reserve(std::uint32_t ahead, const Deal& deal);
  // `counts`: of the other direction. True if the piece's rail has died meanwhile, and it must go again.
  bool commit(std::uint32_t bytes, std::uint32_t stamp, const Counts& counts, Clock::time_point now);

  // What the peer says of its end. False if that cannot be.
  bool hear(const Counts& counts);
  // All that was committed has come.
  bool all_arrived() const { return arrived_ == next_; }
  // Since when the longest has been on its way, or the user has waited for room; kNever: nothing is.
  Clock::time_point waits_since() const;
  // Whether something goes by this rail since before then.
  bool trusts(Rail rail, Clock::time_point before) const;

  // What this rail was to deliver must go another way; how many pieces.
  std::uint32_t orphan(Rail rail);
  // Sends orphans again with `post`, which takes payload and words, and returns the rail, or kNoRail for not
  // now; false if some are left.
  using Post = std::function<Rail(BytesView payload, const Again& again)>;
  bool send_again(const Post& post, Clock::time_point now);

 private:
  struct Piece {
    std::byte* data = nullptr;
    std::uint32_t bytes = 0, stamp = 0;
    Rail ring = kNoRail;     // in whose slot it lies
    Rail carrier = kNoRail;  // who is to deliver it; none: an orphan
    Clock::time_point at{};  // when it was sent
  };
  Piece& piece(std::uint64_t number) { return pieces_[number % pieces_.size()]; }
  const Piece& piece(std::uint64_t number) const { return pieces_[number % pieces_.size()]; }
  bool assign(const Deal& deal);

  Ways& ways_;
  std::uint16_t lane_;
  std::vector<Piece> pieces_;        // by number, modulo their count
  std::vector<std::uint32_t> held_;  // by rail: slots that are reserved and not committed
  std::uint64_t released_ = 0, arrived_ = 0, next_ = 0, assigned_ = 0;  // in this order
  Clock::time_point full_since_ = kNever;
};

class InLane {
 public:
  InLane(Ways& ways, std::uint16_t lane, std::uint32_t slots, std::size_t most)
      : ways_(ways), lane_(lane), most_(most), window_(slots), rings_(ways.size()) {
    for (Ring& ring : rings_) ring.numbers.resize(slots);
  }

  // As Endpoint's, of what has been taken in.
  Arrival peek(std::uint32_t ahead) const;
  void release();
  // Takes in what has come by a rail; `heard` is given the counts that ride on it. False if bytes came that
  // nobody can have sent.
  bool take(Rail rail, const std::function<bool(const Counts&)>& heard);
  // The same for a piece that came again; its payload is copied.
  bool take_again(BytesView payload, const Again& again);

  // To tell the peer.
  Counts counts() const {
    return {static_cast<std::uint32_t>(arrived_), static_cast<std::uint32_t>(released_)};
  }
  void told(const Counts& counts) { told_ = counts; }
  bool owes() const { return !(counts() == told_); }
  // The peer may soon have no room, and this rank has some for it.
  bool runs_low() const;

 private:
  struct Entry {
    const std::byte* data = nullptr;  // null: has not come
    std::uint32_t bytes = 0, stamp = 0;
    std::vector<std::byte> kept = {};  // its bytes, where it came again
  };
  // What has come in a rail's ring and was not given back to it: numbers of pieces, or kSeen.
  struct Ring {
    std::vector<std::uint64_t> numbers;
    std::uint32_t first = 0, count = 0;
    std::uint64_t& at(std::uint32_t place) { return numbers[(first + place) % numbers.size()]; }
  };
  static constexpr std::uint64_t kSeen = ~std::uint64_t{0};

  Entry& entry(std::uint64_t number) { return window_[number % window_.size()]; }
  const Entry& entry(std::uint64_t number) const { return window_[number % window_.size()]; }
  bool possible(std::uint64_t number) const { return number < released_ + window_.size(); }
  bool seen(std::uint64_t number) const { return number < released_ || entry(number).data != nullptr; }
  void settle(Rail rail);
  void count_arrived();

  Ways& ways_;
  std::uint16_t lane_;
  std::size_t most_;
  std::vector<Entry> window_;  // by number, modulo their count
  std::vector<Ring> rings_;    // by rail
  std::uint64_t released_ = 0, arrived_ = 0, newest_ = 0;
  Counts told_;
};

}  // namespace hansa::rails
