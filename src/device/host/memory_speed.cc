#include "device/host/memory_speed.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>

#include "device/host/combine.hpp"

namespace hansa {
namespace {

constexpr std::size_t kBlock = 4096;  // stays in the first-level cache

// Memory that was written once, so that no page is missing.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes)
      : data_(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{4096}, std::nothrow))) {
    if (data_) std::memset(data_.get(), 1, bytes);
  }
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{4096}); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

void combine(DataType type, std::span<const std::byte* const> sources, std::byte* destination,
             std::size_t bytes, bool streaming) {
  std::byte* const destinations[] = {destination};
  host_combine({.type = type,
                .sources = sources,
                .destinations = destinations,
                .elements = bytes / size_of(type),
                .streams = streaming ? 0 : -1});
}

// Adding four blocks into one that stays in the first-level cache is reading them.
void read_all(const std::byte* data, std::size_t bytes) {
  constexpr std::size_t kFan = 4;
  alignas(64) std::byte sum[kBlock];
  std::array<const std::byte*, kFan> blocks;
  for (std::size_t at = 0; at < bytes; at += kFan * kBlock) {
    const std::size_t fan = std::min(kFan, (bytes - at) / kBlock);
    for (std::size_t s = 0; s < fan; ++s) blocks[s] = data + at + s * kBlock;
    combine(DataType::kFloat32, std::span(blocks).first(fan), sum, kBlock, false);
  }
}

void write_all(std::byte* data, std::size_t bytes, bool streaming) {
  alignas(64) const std::byte block[kBlock] = {};
  const std::byte* const sources[] = {block};
  for (std::size_t at = 0; at < bytes; at += kBlock)
    combine(DataType::kFloat32, sources, data + at, kBlock, streaming);
}

void copy_all(std::byte* data, std::size_t bytes, bool streaming) {
  const std::byte* const sources[] = {data};
  combine(DataType::kFloat32, sources, data + bytes / 2, bytes / 2, streaming);
}

// The sum is read at last, as it will be in time: streaming must not win by leaving that to others.
void add_all(std::byte* data, std::size_t bytes, bool streaming) {
  const std::size_t third = bytes / 3 / kBlock * kBlock;
  const std::byte* const sources[] = {data, data + third};
  combine(DataType::kFloat32, sources, data + 2 * third, third, streaming);
  read_all(data + 2 * third, third);
}

// The thread's own time, so that a busy machine measures like an idle one but for the memory that others use.
std::chrono::nanoseconds now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

template <class Pass>
double seconds(const Pass& pass) {
  const std::chrono::nanoseconds start = now();
  pass();
  return std::chrono::duration<double>(now() - start).count();
}

// The best of the rounds that fit into `time`, and of three at least: what disturbs a round only ever slows
// it down. Small footprints are gone round several times, because reading the clock takes a while.
template <class Pass>
double speed(std::size_t footprint, std::chrono::microseconds time, const Pass& pass) {
  const std::size_t passes = std::max<std::size_t>(1, (std::size_t{1} << 19) / footprint);
  double best = 1e9;
  const std::chrono::nanoseconds end = now() + time;
  for (int rounds = 0; rounds < 3 || now() < end; ++rounds) {
    best = std::min(best, seconds([&] {
                      for (std::size_t p = 0; p < passes; ++p) pass();
                    }));
  }
  return static_cast<double>(footprint * passes) / std::max(best, 1e-9);
}

}  // namespace

MemorySpeed measure_memory_speed(std::size_t footprint, std::chrono::microseconds time) {
  const std::size_t bytes = std::max(footprint / (2 * kBlock), std::size_t{1}) * 2 * kBlock;
  const Buffer buffer(bytes);
  std::byte* const data = buffer.data();
  if (!data) return {};
  MemorySpeed result{.footprint = bytes};
  result.read = speed(bytes, time, [&] { read_all(data, bytes); });
  result.write = speed(bytes, time, [&] { write_all(data, bytes, false); });
  result.copy = speed(bytes, time, [&] { copy_all(data, bytes, false); });
  result.streamed_write = speed(bytes, time, [&] { write_all(data, bytes, true); });
  result.streamed_copy = speed(bytes, time, [&] { copy_all(data, bytes, true); });
  return result;
}

std::size_t measure_streaming_threshold(std::size_t largest) {
  constexpr std::size_t kLeast = std::size_t{1} << 20;
  const Buffer buffer(largest);
  if (!buffer.data() || largest < kLeast) return SIZE_MAX;
  // Downwards, as long as streaming wins; in turns, so that both meet the same disturbances.
  std::size_t threshold = SIZE_MAX;
  for (std::size_t bytes = largest; bytes >= kLeast; bytes /= 2) {
    double cached = 1e9, streamed = 1e9;
    for (int round = 0; round < 4; ++round) {
      cached = std::min(cached, seconds([&] { add_all(buffer.data(), bytes, false); }));
      streamed = std::min(streamed, seconds([&] { add_all(buffer.data(), bytes, true); }));
    }
    if (streamed > cached) break;
    threshold = bytes;
  }
  return threshold;
}

}  // namespace hansa
