// Arithmetic on blocks that the engine's parts share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hansa/block_map.hpp"
#include "hansa/schedule.hpp"

namespace hansa {

inline std::uint32_t nth_id(const Blocks& blocks, std::uint32_t index, std::uint32_t modulus) {
  return (blocks.first + index / blocks.count * blocks.stride + index % blocks.count) % modulus;
}

// Of the operand's n-th block, which lies in no scratch.
inline std::size_t elements_of(const BlockMap& map, const Operand& operand, std::uint32_t index,
                               std::uint32_t modulus) {
  const std::uint32_t id = nth_id(operand.blocks, index, modulus);
  return operand.place == Place::kPeer ? map.elements(id) : map.at(operand.place, id).elements;
}

// That a message takes; one without bytes takes one.
inline std::uint32_t slots_of(std::size_t bytes, std::size_t slot_bytes) {
  return bytes == 0 ? 1 : static_cast<std::uint32_t>((bytes + slot_bytes - 1) / slot_bytes);
}

}  // namespace hansa
