#include "tools/bench/meeting.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstring>

#include "base/wait.hpp"
#include "hansa/hansa.h"

namespace hansa::bench {
namespace {

Status ended() { return Status(Code::kAborted, "the benchmark ends"); }

}  // namespace

Status status_of(ncclResult_t result, ncclComm_t comm) {
  if (result == ncclSuccess) return {};
  const char* text = ncclGetLastError(comm);
  if (*text == '\0') text = ncclGetLastError(nullptr);
  const Code code = result == ncclRemoteError ? Code::kRemote : Code::kInternal;
  return Status(code, fmt::format("'{} / {}'", ncclGetErrorString(result), text));
}

SharedMeeting::SharedMeeting(Board& board, std::byte* slots, int rank, int ranks)
    : board_(board), slots_(slots), rank_(rank), ranks_(ranks), crowded_(ranks > usable_cores()) {}

// A round ends when the last rank moves the round's number on.
Status SharedMeeting::wait(bool precisely) {
  auto& arrived = precisely ? board_.spinning : board_.arrived;
  auto& round = precisely ? board_.spin_round : board_.round;
  const std::uint32_t now = round.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(ranks_)) {
    arrived.store(0, std::memory_order_relaxed);
    round.store(now + 1, std::memory_order_release);
    return board_.ended() ? ended() : Status();
  }
  Waiter waiter(crowded_);
  while (round.load(std::memory_order_acquire) == now) {
    if (board_.ended()) return ended();
    if (!precisely)
      waiter.idle();
    else if (crowded_)
      sched_yield();
  }
  return {};
}

// Who waits long naps, and would be late: so all gather first, and then start from a line where nobody
// sleeps.
Status SharedMeeting::barrier() {
  HANSA_RETURN_IF_ERROR(wait(false));
  return wait(true);
}

Status SharedMeeting::exchange(std::span<const std::byte> mine, std::span<std::byte> all) {
  const auto ranks = static_cast<std::size_t>(ranks_);
  for (std::size_t done = 0; done < mine.size(); done += kSlot) {
    const std::size_t part = std::min(kSlot, mine.size() - done);
    std::memcpy(slots_ + static_cast<std::size_t>(rank_) * kSlot, mine.data() + done, part);
    HANSA_RETURN_IF_ERROR(wait(false));
    for (std::size_t r = 0; r < ranks; ++r)
      std::memcpy(all.data() + r * mine.size() + done, slots_ + r * kSlot, part);
    HANSA_RETURN_IF_ERROR(wait(false));
  }
  return {};
}

Status CommunicatorMeeting::barrier() { return status_of(hansaBarrier(comm_, nullptr), comm_); }

Status CommunicatorMeeting::exchange(std::span<const std::byte> mine, std::span<std::byte> all) {
  return status_of(ncclAllGather(mine.data(), all.data(), mine.size(), ncclUint8, comm_, nullptr), comm_);
}

}  // namespace hansa::bench
