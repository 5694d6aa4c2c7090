#include "board.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

namespace hansa::test {
namespace {

template <class Ready>
void wait_until(Ready ready) {
  while (!ready()) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

}  // namespace

void Seat::fail(const std::string& what) const {
  const auto epoch = static_cast<unsigned long long>(tally().epoch.load());
  std::fprintf(stderr,
               "rank %d of %d, lane %d, epoch %llu, step %llu (%s): %s\n"
               "repeat: soak --seed %llu --ranks %d --threads %d --lanes %d --lane %d --epoch %llu\n",
               rank, run.ranks, lane, epoch, static_cast<unsigned long long>(tally().step.load()),
               tally().doing.load(), what.c_str(), static_cast<unsigned long long>(run.seed), run.ranks,
               run.threads, run.lanes, lane, epoch);
  std::fflush(nullptr);
  _exit(1);
}

void Seat::demand(ncclResult_t result, const char* what, ncclComm_t comm) const {
  if (result == ncclSuccess) return;
  fail(std::string(what) + ": " + ncclGetErrorString(result) + ": " + ncclGetLastError(comm));
}

ncclUniqueId Seat::next_id(std::uint64_t& posted) const {
  Lane& lane_here = here();
  ++posted;
  if (rank == 0) {
    demand(ncclGetUniqueId(&lane_here.id), "ncclGetUniqueId");
    lane_here.posted.store(posted, std::memory_order_release);
  }
  wait_until([&] { return lane_here.posted.load(std::memory_order_acquire) >= posted; });
  const ncclUniqueId id = lane_here.id;
  meet();  // nobody overwrites it before all have read it
  return id;
}

bool Seat::next_epoch(std::uint64_t& posted) const {
  Lane& lane_here = here();
  ++posted;
  if (rank == 0) {
    lane_here.over.store(asked_to_stop(), std::memory_order_relaxed);
    lane_here.posted.store(posted, std::memory_order_release);
  }
  wait_until([&] { return lane_here.posted.load(std::memory_order_acquire) >= posted; });
  return !lane_here.over.load(std::memory_order_relaxed);
}

void Seat::meet() const {
  Lane& lane_here = here();
  const std::uint64_t meeting = lane_here.meetings.load(std::memory_order_acquire);
  if (lane_here.arrived.fetch_add(1) + 1 == run.ranks) {
    lane_here.arrived.store(0);
    lane_here.meetings.fetch_add(1);
    return;
  }
  wait_until([&] { return lane_here.meetings.load(std::memory_order_acquire) != meeting; });
}

}  // namespace hansa::test
