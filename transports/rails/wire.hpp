// What rails say to each other. Every message is one slot of one rail's transport; its bytes come from
// outside and are checked before use.
//
// On the lanes of the user: payload, padding to a multiple of 8, Trailer. On a lane of their own, named by
// the slot's stamp: asks, reports, and pieces that go again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "hansa/types.hpp"

namespace hansa::rails {

// Of every slot; keeps what is left a multiple of 64.
inline constexpr std::size_t kRoom = 64;
inline constexpr std::uint16_t kMostLanes = 15;

// The low words of two counts of pieces, about the lane's other direction: all before `arrived` have come,
// all before `released` were given back by the user.
struct Counts {
  std::uint32_t arrived = 0, released = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
};

// One slot's worth of a lane, wherever it goes. Numbers count from 0 and never wrap, so a piece that a dead
// rail delivers after all is known for what it is, however late.
struct Trailer {
  std::uint64_t number = 0;
  std::uint32_t bytes = 0;  // of payload
  Counts counts;
  std::uint32_t zero = 0;
};
static_assert(sizeof(Trailer) == 24 && sizeof(Trailer) + 8 <= kRoom);

// Writes the trailer behind the payload of a slot; the message's length.
std::uint32_t seal(std::byte* slot, const Trailer& trailer);
// Nothing where it is no such message of at most `most` bytes of payload.
std::optional<Trailer> unseal(BytesView message, std::size_t most);

enum class Kind : std::uint32_t { kAsk = 1, kReport, kPiece };

// "Do you hear this?", to be answered by a report over the same rail.
struct Ask {
  std::uint64_t round = 0;
};

// Where a rank stands on all lanes.
struct Report {
  std::uint64_t round = 0;  // of the ask that it answers; 0: it answers none
  bool parting = false;     // the sender wants nothing more, and says nothing more unasked
  bool heard = false;  // the sender has heard that the receiver is parting, and says nothing more unasked
  std::uint32_t lanes = 0;
  std::array<Counts, kMostLanes> counts{};  // of so many lanes
};
constexpr std::size_t report_bytes(std::size_t lanes) { return 16 + lanes * sizeof(Counts); }

// A piece that goes again; its payload is in front, as in its own lane.
struct Again {
  Trailer piece;
  std::uint32_t stamp = 0;
  std::uint32_t lane = 0;
};

std::uint32_t write(std::byte* slot, const Ask& ask);
std::uint32_t write(std::byte* slot, const Report& report);
// Behind the payload, which is in the slot already.
std::uint32_t write(std::byte* slot, const Again& again);

std::optional<Ask> read_ask(BytesView message);
std::optional<Report> read_report(BytesView message, std::size_t lanes);
std::optional<Again> read_again(BytesView message, std::size_t most, std::size_t lanes);

// How a rank is reached over all its rails: each one's own address, empty where it has none.
std::vector<std::byte> join_addresses(const std::vector<std::vector<std::byte>>& addresses);
std::optional<std::vector<BytesView>> split_addresses(BytesView joined);

}  // namespace hansa::rails
