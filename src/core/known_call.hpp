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
  // Where the buffers must not lie: bytes that each takes, and the only way in which they may overlap, as the
  // output seen from the input.
  std::size_t input_bytes = 0, output_bytes = 0;
  std::uintptr_t in_place = 0;
  Execution* execution = nullptr;
  std::uint32_t signature = 0;
  BoundCall bound;
  control::LogEntry entry;  // but for number and stamp

  bool is(std::uint64_t asked, std::size_t elements) const noexcept {
    return what == asked && count == elements;
  }
  // Whether Communicator::check() would find such buffers right.
  bool fits(const void* input, const void* output) const noexcept {
    const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
    return in != 0 && out != 0 &&
           (in + input_bytes <= out || out + output_bytes <= in || out == in + in_place);
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
