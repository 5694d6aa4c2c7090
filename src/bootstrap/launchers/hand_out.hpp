// Rank 0 listens at MASTER_ADDR:MASTER_PORT and hands the bytes out to each other rank once: for jobs that
// nobody's launcher serves, only the four variables.
//
//   rank R -> rank 0    "HANSA-H1", number of the broadcast, R, ranks of the job (4 bytes each)
//   rank 0 -> rank R    "HANSA-H1", verdict (1 byte), length or detail (4 bytes), the bytes
//   rank R -> rank 0    one byte: they have come
//   rank 0 -> rank R    one byte: noted. Where it stays out, rank R asks again, lest rank 0 wait for it
//   forever.
//
// Nobody is authenticated: who asks, gets. A rank that has been served is refused, which catches mistakes (a
// RANK given twice, two jobs at one port), not thieves. See docs/launchers.md.
#pragma once

#include <array>
#include <optional>

#include "bootstrap/launcher.hpp"
#include "bootstrap/launchers/meeting_point.hpp"

namespace hansa::bootstrap {

struct HandOutRequest {
  std::uint32_t broadcast = 0, rank = 0, ranks = 0;
};
inline constexpr std::size_t kHandOutRequestBytes = 20, kHandOutAnswerBytes = 13;

std::vector<std::byte> encode(const HandOutRequest& request);
// kHandOutRequestBytes of them.
std::optional<HandOutRequest> parse_hand_out_request(BytesView bytes);

enum class HandOutVerdict : std::uint8_t {
  kHere,       // the bytes follow
  kOtherSize,  // rank 0's WORLD_SIZE follows instead of a length
  kServedAlready,
  kNotNow,  // another broadcast: ask again
};
struct HandOutAnswer {
  HandOutVerdict verdict = HandOutVerdict::kHere;
  std::uint32_t number = 0;
};
std::vector<std::byte> encode(const HandOutAnswer& answer, BytesView bytes);
// kHandOutAnswerBytes of them, without the bytes that follow. Lengths are at most Launcher::kMostBytes.
std::optional<HandOutAnswer> parse_hand_out_answer(BytesView bytes);

// Rank 0's part, over a listening socket that does not block: until all other ranks of `ranks` have the bytes
// or the deadline has passed, whose error names those that have not. Strangers cannot hold it up: a
// connection has `guest_patience`, and at most kMostGuests are in at once, of which the one that has been
// silent for longest makes room.
inline constexpr std::chrono::milliseconds kGuestPatience{4000};
inline constexpr std::size_t kMostGuests = 128;
Status hand_out(int listener, BytesView bytes, std::uint32_t broadcast, Rank ranks, Deadline deadline,
                std::chrono::milliseconds guest_patience = kGuestPatience);

// Another rank's part.
Result<std::vector<std::byte>> ask_for(const MeetingPoint& point, const HandOutRequest& request,
                                       Deadline deadline);

Result<std::unique_ptr<Launcher>> open_hand_out(Job job, const Lookup& lookup);

}  // namespace hansa::bootstrap
