// What a caller asks of a communicator, as a value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hansa/device.hpp"
#include "hansa/types.hpp"

namespace hansa {

// Counts are in elements. `count` means what the C function means by it: the whole vector (allreduce,
// reduce, broadcast), one rank's share (allgather, reduce_scatter, alltoall, gather, scatter).
struct Request {
  Collective collective = Collective::kAllReduce;
  DataType type = DataType::kInt8;
  ReduceOp op = ReduceOp::kSum;
  Rank root = 0;
  const void* input = nullptr;
  void* output = nullptr;
  std::size_t count = 0;
  Factor factor{};                       // of kPreMulSum
  const void* factor_address = nullptr;  // of kPreMulSum, if the scalar is to be read when the operation runs
  // The v-forms' tables, by rank; the caller's, read during the call only.
  const std::size_t* send_counts = nullptr;
  const std::size_t* send_offsets = nullptr;
  const std::size_t* receive_counts = nullptr;
  const std::size_t* receive_offsets = nullptr;

  // The first four in a word, to be compared at once.
  static constexpr std::uint64_t what(Collective collective, DataType type, ReduceOp op, Rank root) {
    return static_cast<std::uint64_t>(collective) | static_cast<std::uint64_t>(type) << 8 |
           static_cast<std::uint64_t>(op) << 16 | static_cast<std::uint64_t>(root) << 32;
  }
  std::uint64_t what() const { return what(collective, type, op, root); }

  // Whether it meets nobody: all ranks know that there is nothing to move.
  bool empty(Rank ranks) const {
    switch (collective) {
      case Collective::kBarrier:
      case Collective::kAllToAllV:
        return false;
      case Collective::kAllGatherV:
      case Collective::kReduceScatterV:
        return std::all_of(receive_counts, receive_counts + ranks, [](std::size_t n) { return n == 0; });
      default:
        return count == 0;
    }
  }
};

// One send or receive of a group; a group's all go into one plan.
struct PointToPoint {
  bool send = false;
  Rank peer = 0;
  void* address = nullptr;
  std::size_t bytes = 0;
};

}  // namespace hansa
