// The combine kernels beside what this machine's memory gives one thread in the same run.
//
// Bytes per second are those read plus those written. "bound" is the share of the speed at which the same
// bytes can be read and written one after the other over the same footprint; arithmetic is what keeps a
// kernel below 1, overlapping reads with writes may lift it above. Names read type/operation/sources/bytes of
// each.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <vector>

#include "device/host/combine.hpp"
#include "device/host/memory_speed.hpp"

namespace hansa {
namespace {

constexpr std::size_t kSizes[] = {8, 4096, std::size_t{256} << 10, std::size_t{32} << 20};
constexpr std::size_t kFanIns[] = {2, 4, 8};

double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const MemorySpeed& machine(std::size_t footprint) {
  static std::map<std::size_t, MemorySpeed> measured;
  const auto [found, missing] = measured.try_emplace(footprint);
  if (missing) found->second = measure_memory_speed(footprint, std::chrono::milliseconds(20));
  return found->second;
}

// Page-aligned parts of one buffer, each one cache line further into its page, as separate allocations would
// be.
class Parts {
 public:
  Parts(std::size_t count, std::size_t bytes) : step_((bytes + 4095) / 4096 * 4096 + 64) {
    data_.reset(static_cast<std::byte*>(::operator new (count* step_, std::align_val_t{4096})));
    std::memset(data_.get(), 0x31, count * step_);
  }
  std::byte* at(std::size_t index) const { return data_.get() + index * step_; }

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{4096}); }
  };
  std::size_t step_;
  std::unique_ptr<std::byte, Free> data_;
};

void combine(benchmark::State& state, DataType type, ReduceOp op, std::size_t fan_in, std::size_t bytes,
             bool streaming) {
  const Parts parts(fan_in + 1, bytes);
  std::vector<const std::byte*> sources;
  for (std::size_t s = 0; s < fan_in; ++s) sources.push_back(parts.at(s));
  std::byte* const destinations[] = {parts.at(fan_in)};
  std::vector<Factor> factors;
  CombineCall call{.type = type, .op = op, .sources = sources, .destinations = destinations};
  call.elements = bytes / size_of(type);
  call.streams = streaming ? 0 : -1;
  if (op == ReduceOp::kAvg && !is_float(type)) call.divisor = 3;
  if (op == ReduceOp::kPreMulSum) {
    factors.assign(fan_in, {.real = 0.5, .integer = 3});
    call.factors = factors;
  }
  const double start = thread_seconds();
  for (auto _ : state) {
    host_combine(call);
    benchmark::ClobberMemory();
  }
  const double seconds = thread_seconds() - start;
  const auto rounds = static_cast<double>(state.iterations());
  const auto read = static_cast<double>(fan_in * bytes), written = static_cast<double>(bytes);
  state.SetBytesProcessed(static_cast<std::int64_t>((read + written) * rounds));
  const MemorySpeed& limit = machine((fan_in + 1) * bytes);
  const double least = read / limit.read + written / (streaming ? limit.streamed_write : limit.write);
  state.counters["bound"] = least * rounds / seconds;
}

void add(DataType type, ReduceOp op, std::size_t fan_in, std::size_t bytes, bool streaming) {
  const std::string name =
      fmt::format("{}/{}/{}/{}{}", name_of(type), name_of(op), fan_in, bytes, streaming ? "/streamed" : "");
  benchmark::RegisterBenchmark(name.c_str(), combine, type, op, fan_in, bytes, streaming);
}

void add_all() {
  for (int t = 0; t < kDataTypes; ++t) {
    const auto type = static_cast<DataType>(t);
    for (ReduceOp op :
         {ReduceOp::kSum, ReduceOp::kProd, ReduceOp::kMax, ReduceOp::kAvg, ReduceOp::kPreMulSum}) {
      if (op == ReduceOp::kAvg && is_float(type)) continue;  // is kPreMulSum
      const bool everything = op == ReduceOp::kSum;
      for (std::size_t bytes : kSizes) {
        for (std::size_t fan_in : kFanIns)
          if (fan_in == 2 || everything) add(type, op, fan_in, bytes, false);
      }
      if (everything) add(type, op, 2, kSizes[3], true);
    }
  }
}

void print_machine() {
  fmt::print("one thread, GB/s:    read   write    copy  streamed write  streamed copy\n");
  for (std::size_t footprint : {std::size_t{16} << 10, std::size_t{256} << 10, std::size_t{2} << 20,
                                std::size_t{16} << 20, std::size_t{128} << 20}) {
    const MemorySpeed& speed = machine(footprint);
    fmt::print("{:>8} KiB {:14.1f} {:7.1f} {:7.1f} {:15.1f} {:14.1f}\n", speed.footprint >> 10,
               speed.read / 1e9, speed.write / 1e9, speed.copy / 1e9, speed.streamed_write / 1e9,
               speed.streamed_copy / 1e9);
  }
  const std::size_t threshold = measure_streaming_threshold();
  if (threshold == SIZE_MAX)
    fmt::print("streaming stores do not win up to 128 MiB\n");
  else
    fmt::print("streaming stores win from {} MiB\n", threshold >> 20);
  fmt::print("level {}\n\n", combine_levels().back().name);
}

}  // namespace
}  // namespace hansa

int main(int given, char** arguments) {
  hansa::add_all();
  // Two hundred figures in half a minute, unless asked otherwise.
  char min_time[] = "--benchmark_min_time=0.02";
  std::vector<char*> all(arguments, arguments + given);
  all.insert(all.begin() + 1, min_time);
  int argc = given + 1;
  char** const argv = all.data();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  hansa::print_machine();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
