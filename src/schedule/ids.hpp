// The block ids that Blocks stand for, one by one.
#pragma once

#include <cstdint>

#include "hansa/schedule.hpp"

namespace hansa {

template <class Visit>
void for_each_id(const Blocks& blocks, std::uint32_t modulus, Visit visit) {
  for (std::uint32_t i = 0; i < blocks.repeats; ++i)
    for (std::uint32_t j = 0; j < blocks.count; ++j)
      visit(static_cast<std::uint32_t>((blocks.first + std::uint64_t{i} * blocks.stride + j) % modulus));
}

}  // namespace hansa
