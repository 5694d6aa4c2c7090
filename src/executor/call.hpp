// What a plan needs to know when it starts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hansa/block_map.hpp"
#include "hansa/device.hpp"
#include "hansa/schedule.hpp"
#include "hansa/types.hpp"

namespace hansa {

// Pointers may be null where the collective does not touch them.
struct Call {
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  BlockMap map;
  DataType type = DataType::kInt8;
  ReduceOp op = ReduceOp::kSum;
  bool premultiply = false;
  Factor factor;             // applied to every input block of this rank, where `premultiply`
  std::int64_t divisor = 1;  // applied where a step finishes its result
  std::uint32_t stamp = 0;   // travels with every message; a receiver that expects another one fails the call
  std::size_t chunk = 1;     // elements of one chunk of one block, equal on all ranks
  // The same of a direct plan, which need not be cut for slots' sake but may be. Equal on all ranks.
  std::size_t direct_chunk = SIZE_MAX;
  // Whether its messages had better be left in depots where the endpoint can.
  bool deposits = false;
  // Bytes that one step reads and writes in memory all can reach, from which it writes past the caches.
  std::size_t streams_from = SIZE_MAX;
  std::uint32_t number = 0;  // of the call; counts up, so that notes of the next one are told from this one's

  // What a source of this rank is to be multiplied by.
  Factor factor_of(Place place) const { return premultiply && place == Place::kInput ? factor : Factor(); }
};

// What differs between calls of one kind.
struct Occasion {
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::uint32_t stamp = 0, number = 0;
};

// What the messages of a step that moves so many bytes in all its chunks add to the call's stamp, so that
// messages of different lengths are told apart even where their first cells look alike.
constexpr std::uint32_t length_stamp(std::size_t bytes) {
  return static_cast<std::uint32_t>(bytes * 0x9e3779b97f4a7c15u >> 32);
}

}  // namespace hansa
