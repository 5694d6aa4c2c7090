// What this machine's memory gives one thread, measured with the combine kernels themselves. For benchmarks,
// tools and the choice of streaming stores; never called when the library loads, because it takes time and
// memory.
#pragma once

#include <chrono>
#include <cstddef>

namespace hansa {

// Bytes per second of its own processor time that the calling thread reads plus writes while it goes round
// `footprint` bytes. Zero where the memory could not be had.
struct MemorySpeed {
  std::size_t footprint = 0;
  double read = 0, write = 0, copy = 0;
  double streamed_write = 0, streamed_copy = 0;  // with stores that bypass the caches
};

// Takes about 5 times `time`, and the footprint in memory.
MemorySpeed measure_memory_speed(std::size_t footprint, std::chrono::microseconds time);

// The bytes an operation reads and writes from which CombineCall::streaming makes it and a first read of its
// result faster on this machine, to a factor of two; SIZE_MAX where streaming never won. Measured by adding
// up to `largest` bytes, which also is the memory it takes for some tenths of a second. What the processor
// says of its caches is not used: virtual machines report them wrongly.
std::size_t measure_streaming_threshold(std::size_t largest = std::size_t{128} << 20);

}  // namespace hansa
