#pragma once

#include <cstddef>
#include <cstdint>

namespace hansa {

// What the slots of a transport's channels look like. Each transport names its own choice once; tests open it
// with small ones, where wrapping round and running out of credit happen at every turn. `bytes` is a
// multiple of 64, `count` at least 2.
struct SlotShape {
  std::size_t bytes = 0;
  std::uint32_t count = 0;
  friend bool operator==(const SlotShape&, const SlotShape&) = default;
};

}  // namespace hansa
