// Arithmetic on blocks that the engine's parts share.
#pragma once

#include <cstdint>

#include "hansa/schedule.hpp"

namespace hansa {

inline std::uint32_t nth_id(const Blocks& blocks, std::uint32_t index, std::uint32_t modulus) {
  return (blocks.first + index / blocks.count * blocks.stride + index % blocks.count) % modulus;
}

}  // namespace hansa
