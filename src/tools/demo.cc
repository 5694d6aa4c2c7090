// `hansa demo`: every collective over several ranks of this machine, every result checked.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "hansa/hansa.h"
#include "tools/commands.hpp"
#include "tools/local_ranks.hpp"
#include "tools/trials.hpp"

namespace hansa::tools {
namespace {

struct Options {
  int ranks = 4, threads = 1, iterations = 10;
  std::vector<std::size_t> sizes{8, 4096, 1 << 18, 4 << 20};
};

struct Measured {
  double microseconds = 0;
  long long wrong = 0;
};

class Runner {
 public:
  Runner(const Place& place, const Options& options, ncclComm_t comm)
      : place_(place), options_(options), comm_(comm) {}

  bool run(const Trial& trial) {
    if (place_.rank == 0) std::printf("# %s\n", trial.name);
    for (const std::size_t size : options_.sizes) {
      const std::size_t count = size / sizeof(float);
      Measured apart, within;
      if (!measure(trial, count, false, apart)) return false;
      if (trial.in_place && !measure(trial, count, true, within)) return false;
      print(trial, count, apart, trial.in_place ? &within : nullptr);
      if (trial.elements(options_.sizes.back() / sizeof(float), place_.ranks) == 0)
        break;  // a barrier has one size
    }
    return true;
  }

 private:
  bool call(ncclResult_t result, const char* what) {
    if (result == ncclSuccess) return true;
    std::fprintf(stderr, "hansa demo: rank %d, %s: %s: %s\n", place_.rank, what, ncclGetErrorString(result),
                 ncclGetLastError(comm_));
    return false;
  }

  bool measure(const Trial& trial, std::size_t count, bool in_place, Measured& measured) {
    const std::size_t elements = std::max(trial.elements(count, place_.ranks), count);
    std::vector<float> input(elements), output(elements, -2);
    for (std::size_t i = 0; i < elements; ++i) input[i] = value(place_.rank, i);
    float* out = output.data();
    const float* in = input.data();
    if (in_place) {
      // One buffer; what the input holds lies where the collective's in-place rule puts it.
      const std::ptrdiff_t offset = trial.offset(count, place_.rank, place_.ranks);
      output = input;
      in = output.data() + std::max<std::ptrdiff_t>(offset, 0);
      out = output.data() + std::max<std::ptrdiff_t>(-offset, 0);
      if (offset > 0) std::copy(input.begin(), input.end() - offset, output.begin() + offset);
    }
    if (!call(trial.run(in, out, count, place_.rank, place_.ranks, comm_), trial.name)) return false;
    long long wrong = 0;
    const auto valid = static_cast<std::size_t>(output.data() + output.size() - out);
    for (std::size_t i = 0; i < std::min(valid, trial.elements(count, place_.ranks)); ++i) {
      const float expected = trial.expected(i, count, place_.rank, place_.ranks);
      wrong += expected >= 0 && out[i] != expected;
    }
    if (!call(hansaBarrier(comm_, nullptr), "barrier")) return false;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < options_.iterations; ++i)
      if (!call(trial.run(in, out, count, place_.rank, place_.ranks, comm_), trial.name)) return false;
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
    return combine(time.count() / options_.iterations, wrong, measured);
  }

  // Mean time and sum of errors over all ranks, by memory that all share rather than by what is under test.
  bool combine(double time, long long wrong, Measured& measured) {
    Shared& shared = *place_.shared;
    shared.wrong += wrong;
    for (double sum = shared.slowest; !shared.slowest.compare_exchange_weak(sum, sum + time);) {
    }
    if (!call(hansaBarrier(comm_, nullptr), "barrier")) return false;
    measured = {shared.slowest / place_.ranks, shared.wrong};
    if (!call(hansaBarrier(comm_, nullptr), "barrier")) return false;
    if (place_.rank == 0) {
      total_ += shared.wrong;
      shared.wrong = 0;
      shared.slowest = 0;
    }
    return call(hansaBarrier(comm_, nullptr), "barrier");
  }

  void print(const Trial& trial, std::size_t count, const Measured& apart, const Measured* within) const {
    if (place_.rank != 0) return;
    const std::size_t elements = trial.elements(count, place_.ranks);
    const double n = place_.ranks;
    const double factor = trial.bus_factor > 0                           ? trial.bus_factor
                          : std::string_view(trial.name) == "all_reduce" ? 2 * (n - 1) / n
                                                                         : (n - 1) / n;
    std::printf("%12zu  %12zu  %8s  %6s  %6d", elements * sizeof(float), elements, "float", trial.operation,
                trial.root);
    for (const Measured* m : {&apart, within}) {
      if (m == nullptr) {
        std::printf("  %7s  %6s  %6s  %6s", "-", "-", "-", "N/A");
        continue;
      }
      const double bandwidth = static_cast<double>(elements * sizeof(float)) / m->microseconds / 1e3;
      std::printf("  %7.2f  %6.2f  %6.2f  %6lld", m->microseconds, bandwidth, bandwidth * factor, m->wrong);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  const Place& place_;
  const Options& options_;
  ncclComm_t comm_;

 public:
  long long total_ = 0;
};

int rank_main(const Place& place, const Options& options) {
  ncclComm_t comm = nullptr;
  if (ncclCommInitRank(&comm, place.ranks, place.shared->id, place.rank) != ncclSuccess) {
    std::fprintf(stderr, "hansa demo: rank %d: %s\n", place.rank, ncclGetLastError(nullptr));
    return 1;
  }
  if (place.rank == 0) {
    int version = 0;
    ncclGetVersion(&version);
    std::printf("# Hansa %d.%d.%d, NCCL interface %d: %d ranks, %d to a process\n", HANSA_VERSION_MAJOR,
                HANSA_VERSION_MINOR, HANSA_VERSION_PATCH, version, place.ranks, options.threads);
    std::printf("#%46s  %28s  %30s\n", "", "out-of-place", "in-place");
    std::printf("#%11s  %12s  %8s  %6s  %6s  %7s  %6s  %6s  %6s  %7s  %6s  %6s  %6s\n", "size", "count",
                "type", "redop", "root", "time", "algbw", "busbw", "#wrong", "time", "algbw", "busbw",
                "#wrong");
    std::printf("#%11s  %12s  %8s  %6s  %6s  %7s  %6s  %6s  %6s  %7s  %6s  %6s\n", "(B)", "(elements)", "",
                "", "", "(us)", "(GB/s)", "(GB/s)", "", "(us)", "(GB/s)", "(GB/s)");
  }
  Runner runner(place, options, comm);
  bool good = true;
  for (const Trial& trial : trials(place.ranks)) good = good && runner.run(trial);
  if (good && place.rank == 0)
    std::printf("# Out of bounds values : %lld %s\n", runner.total_, runner.total_ == 0 ? "OK" : "FAILED");
  const bool closed = (good ? ncclCommDestroy(comm) : ncclCommAbort(comm)) == ncclSuccess;
  return good && closed && runner.total_ == 0 ? 0 : 1;
}

}  // namespace

void add_demo(CLI::App& app, int& status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "demo",
      "Start ranks on this machine, run every collective, check every value, print nccl-tests' columns");
  command->add_option("-n,--ranks", options->ranks, "ranks")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("-t,--threads", options->threads, "ranks to a process, as threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("-i,--iterations", options->iterations, "timed calls of each")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("-s,--sizes", options->sizes, "bytes")->delimiter(',')->capture_default_str();
  command->callback([options, &status] {
    status = run_ranks(options->ranks, options->threads,
                       [&](const Place& place) { return rank_main(place, *options); });
  });
}

}  // namespace hansa::tools
