// At call time, a BlockMap turns block ids into places in the caller's buffers. A small value, built
// per call without allocating.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hansa/schedule.hpp"

namespace hansa {

// Where one block lies, in elements from the start of its buffer.
struct Extent {
  std::size_t offset = 0, elements = 0;
};

class BlockMap {
 public:
  // Which ids a buffer holds: id origin + k*stride is its k-th block.
  struct Layout {
    std::uint32_t origin = 0, stride = 1;
    const std::size_t* counts = nullptr;   // table form: elements of the k-th block
    const std::size_t* offsets = nullptr;  // table form: elements from the buffer's start
  };

  // `elements` cut into `blocks` runs that differ by one at most: block i has q + (i < t) elements,
  // q = elements div blocks, t = elements mod blocks. Input and output alike.
  static BlockMap split(std::size_t elements, std::uint32_t blocks);
  // Every block has `elements`; the k-th block of a buffer stands at k*elements.
  static BlockMap uniform(std::size_t elements, Layout input, Layout output);
  // Lengths and offsets by table. The arrays belong to the caller and outlive the map. `wire[id]` is the
  // length of any block; null where every step has a local operand that tells (alltoallv: no rank
  // knows all lengths). `max_elements` bounds every block that can pass through this rank.
  static BlockMap table(Layout input, Layout output, const std::size_t* wire, std::size_t max_elements);

  // `place` is kInput or kOutput; the id must be one that the buffer holds.
  Extent at(Place place, std::uint32_t id) const;
  // The length of a block that is on the wire or in scratch.
  std::size_t elements(std::uint32_t id) const;
  // The largest block: what a scratch slot must hold.
  std::size_t max_elements() const { return max_elements_; }

 private:
  enum class Kind : std::uint8_t { kSplit, kUniform, kTable };
  Kind kind_ = Kind::kSplit;
  std::size_t quotient_ = 0, remainder_ = 0, max_elements_ = 0;
  Layout input_, output_;
  const std::size_t* wire_ = nullptr;
};

}  // namespace hansa
