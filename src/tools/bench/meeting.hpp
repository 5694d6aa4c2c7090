// How the ranks of a benchmark agree beside the library under test: a barrier and an exchange of a few bytes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hansa/status.hpp"
#include "nccl.h"

namespace hansa::bench {

// Why a benchmark ends before its time. The first reason stays.
enum class Ending : int { kNone, kStopped, kTimeout, kFailed };

// What the processes that one command started share: memory mapped before they were forked.
struct Board {
  std::atomic<Ending> ending{Ending::kNone};
  // The barrier, twice: where waiting ranks may sleep, and where they must not.
  std::atomic<std::uint32_t> arrived{0}, round{0};
  std::atomic<std::uint32_t> spinning{0}, spin_round{0};

  // Whether `reason` is the first.
  bool end(Ending reason) {
    Ending none = Ending::kNone;
    return ending.compare_exchange_strong(none, reason);
  }
  bool ended() const { return ending.load(std::memory_order_relaxed) != Ending::kNone; }
};

// One rank's seat. Every rank makes the same calls in the same order, each from its own thread; they fail
// with kAborted when the benchmark ends meanwhile, or as the library does.
class Meeting {
 public:
  virtual ~Meeting() = default;
  // Returns when all ranks are there; all at the same moment, as far as that is possible.
  virtual Status barrier() = 0;
  // `mine` of every rank, as many bytes each, in rank order into `all`.
  virtual Status exchange(std::span<const std::byte> mine, std::span<std::byte> all) = 0;

  // exchange() for one value each.
  template <class T>
  Result<std::vector<T>> all_of(const T& mine, int ranks) {
    std::vector<T> all(static_cast<std::size_t>(ranks));
    HANSA_RETURN_IF_ERROR(
        exchange(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all))));
    return all;
  }
};

// For ranks that share a Board: `slots` is kSlot bytes a rank of the same memory.
class SharedMeeting : public Meeting {
 public:
  static constexpr std::size_t kSlot = 4096;
  SharedMeeting(Board& board, std::byte* slots, int rank, int ranks);
  Status barrier() override;
  Status exchange(std::span<const std::byte> mine, std::span<std::byte> all) override;

 private:
  Status wait(bool precisely);

  Board& board_;
  std::byte* slots_;
  int rank_, ranks_;
  bool crowded_;
};

// For ranks on several hosts: through a communicator, which must outlive this. Its barrier lets go of ranks
// one after the other.
class CommunicatorMeeting : public Meeting {
 public:
  explicit CommunicatorMeeting(ncclComm_t comm) : comm_(comm) {}
  Status barrier() override;
  Status exchange(std::span<const std::byte> mine, std::span<std::byte> all) override;

 private:
  ncclComm_t comm_;
};

// A failed call as a Status that says so: "remote process exited ... / rank 3 of host ... died".
Status status_of(ncclResult_t result, ncclComm_t comm);

}  // namespace hansa::bench
