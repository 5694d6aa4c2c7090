// A collective that was made before: what it takes to make it again without asking anybody.
#pragma once

#include <cstddef>
#include <cstdint>

#include "control/logbook_layout.hpp"
#include "executor/execution.hpp"

namespace hansa {

struct KnownCall {
  static constexpr std::uint64_t kNothing = ~std::uint64_t{0}, kNowhere = std::uint64_t{1} << 63;

  std::uint64_t what = kNothing;  // see Request::what()
  std::size_t count = 0;
  // Where the buffers must not lie, as the output seen from the input: within `reach` bytes from `before`
  // bytes in front of it on; and the only way in which they may overlap.
  std::size_t before = 0, reach = 0;
  std::uintptr_t in_place = 0;
  Execution* execution = nullptr;
  std::uint32_t signature = 0;
  BoundCall bound;
  control::LogEntry entry;  // but for number and stamp

  bool is(std::uint64_t asked, std::size_t elements) const noexcept {
    return what == asked && count == elements;
  }
  // The bytes that each buffer takes.
  void set_bytes(std::size_t input, std::size_t output) noexcept {
    before = output - 1;
    reach = input == 0 || output == 0 ? 0 : input + output - 1;
  }
  // Whether Communicator::check() would find such buffers right; false also of the few whose addresses share
  // no bit, as if one were null.
  bool fits(const void* input, const void* output) const noexcept {
    const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
    return (in & out) != 0 && (out - in + before >= reach || out - in == in_place);
  }
  // Begins it, as the collective of that number: stamps differ for two numbers of one signature, and for two
  // signatures at one number. As Execution::start().
  StraightLine* start(const void* input, void* output, std::uint32_t number) {
    entry.number = number;
    entry.stamp = signature ^ number * 0x9e3779b1u;
    return execution->start(
        bound, {static_cast<const std::byte*>(input), static_cast<std::byte*>(output), entry.stamp, number});
  }
};

}  // namespace hansa
