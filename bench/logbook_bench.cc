// What the flight recorder costs an operation: its clock alone, and all of it. The promise is 25 ns.
#include <benchmark/benchmark.h>

#include "base/process.hpp"
#include "control/logbook.hpp"

namespace hansa::control {
namespace {

void clock_alone(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(ticks());
    benchmark::DoNotOptimize(ticks());
  }
}
BENCHMARK(clock_alone);

void an_operation(benchmark::State& state) {
  Logbook book(process_generation(), {});
  const auto section = book.open({"bench", 0, 2});
  LogEntry entry;
  entry.collective = Collective::kAllReduce;
  entry.type = DataType::kFloat32;
  entry.details = {2, 8, 0};
  entry.bytes = 8;
  for ([[maybe_unused]] auto _ : state) {
    ++entry.number;
    entry.stamp = entry.number * 0x9e3779b9u;
    benchmark::DoNotOptimize(entry);
    section->begin(entry, ticks());
    section->end(false);
  }
}
BENCHMARK(an_operation);

}  // namespace
}  // namespace hansa::control

BENCHMARK_MAIN();
