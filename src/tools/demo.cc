// `hansa demo`: every collective over several ranks of this machine, every result checked.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "tools/bench/crew.hpp"
#include "tools/bench/machine.hpp"
#include "tools/bench/rank.hpp"
#include "tools/commands.hpp"

namespace hansa::tools {
namespace {

struct Demo {
  int ranks = 4, threads = 1;
  bench::Options options;

  Demo() {
    for (const bench::Program& program : bench::programs()) options.programs.push_back(&program);
    options.name = "demo";
    options.sizes = {8, 4096, 1 << 18, 4 << 20};
    options.iters = 10;
  }
};

}  // namespace

void add_demo(CLI::App& app, int& status) {
  auto demo = std::make_shared<Demo>();
  CLI::App* command = app.add_subcommand(
      "demo",
      "Start ranks on this machine, run every collective, check every value, print nccl-tests' columns");
  command->add_option("-n,--ranks", demo->ranks, "ranks")->check(CLI::Range(1, 256))->capture_default_str();
  command->add_option("-t,--threads", demo->threads, "so many of the ranks are threads of one process")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("-i,--iterations", demo->options.iters, "timed calls of each")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("-s,--sizes", demo->options.sizes, "bytes")
      ->delimiter(',')
      ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 40))
      ->capture_default_str();
  command->callback([demo, &status] {
    if (demo->ranks % demo->threads != 0) {
      std::fprintf(stderr, "hansa demo: %d ranks are no whole number of processes of %d\n", demo->ranks,
                   demo->threads);
      status = bench::kRefused;
      return;
    }
    demo->options.arguments = bench::command_line();
    demo->options.nthreads = demo->threads;
    std::ranges::sort(demo->options.sizes);
    demo->options.minbytes = demo->options.sizes.front();
    demo->options.maxbytes = demo->options.sizes.back();
    status =
        bench::run_processes(demo->ranks / demo->threads, demo->threads, demo->options.timeout,
                             [&](const bench::Seat& seat) { return bench::run_rank(demo->options, seat); });
  });
}

}  // namespace hansa::tools
