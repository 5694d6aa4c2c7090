// Arrays of elements of any type, as bits, for the tests of the kernels.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "hansa/device.hpp"

namespace hansa {

using Elements = std::vector<std::uint64_t>;  // bits, whatever the width

inline DataType type_at(int index) { return static_cast<DataType>(index); }
inline ReduceOp op_at(int index) { return static_cast<ReduceOp>(index); }

inline std::uint64_t get(DataType type, const std::byte* from, std::size_t index) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, from + index * size_of(type), size_of(type));
  return bits;
}

inline void put(DataType type, std::byte* to, std::size_t index, std::uint64_t bits) {
  std::memcpy(to + index * size_of(type), &bits, size_of(type));
}

// fp32 and fp64 sums and products may be any NaN; all else is exact.
inline bool equal(DataType type, ReduceOp op, std::uint64_t got, std::uint64_t want) {
  if (got == want) return true;
  if (op == ReduceOp::kMax || op == ReduceOp::kMin) return false;
  if (type == DataType::kFloat32)
    return std::isnan(std::bit_cast<float>(static_cast<std::uint32_t>(got))) &&
           std::isnan(std::bit_cast<float>(static_cast<std::uint32_t>(want)));
  return type == DataType::kFloat64 && std::isnan(std::bit_cast<double>(got)) &&
         std::isnan(std::bit_cast<double>(want));
}

// One array of elements at an odd multiple of the element's size from a cache line, and `askew` bytes more,
// with guards around it.
class Array {
 public:
  Array(DataType type, std::size_t count, std::size_t odd, std::size_t askew = 0)
      : type_(type), count_(count), bytes_(count * size_of(type) + 512, std::byte{0xa5}) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    start_ = 64 + (64 - address % 64) + odd * size_of(type) + askew;
  }
  std::byte* data() { return bytes_.data() + start_; }
  void set(std::size_t index, std::uint64_t bits) { put(type_, data(), index, bits); }
  std::uint64_t at(std::size_t index) { return get(type_, data(), index); }
  bool untouched_after(std::size_t count) {
    const std::byte* const end = data() + count * size_of(type_);
    return std::all_of(end, end + 64, [](std::byte b) { return b == std::byte{0xa5}; }) &&
           std::all_of(data() - 64, data(), [](std::byte b) { return b == std::byte{0xa5}; });
  }
  void wipe() { std::fill(bytes_.begin(), bytes_.end(), std::byte{0xa5}); }
  std::size_t count() const { return count_; }

 private:
  DataType type_;
  std::size_t count_, start_;
  std::vector<std::byte> bytes_;
};

}  // namespace hansa
