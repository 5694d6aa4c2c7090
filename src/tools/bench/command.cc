// `hansa bench`, and the same program under the names of nccl-tests' programs.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/config.hpp"
#include "tools/bench/launched.hpp"
#include "tools/bench/machine.hpp"
#include "tools/bench/rank.hpp"
#include "tools/commands.hpp"

namespace hansa::tools {
namespace {

using namespace bench;

// Ranks that this command starts itself.
struct Local {
  int ranks = 0;  // 0: none were asked for
  int threads_per_process = 1;
};

int refuse(std::string_view why) {
  std::fprintf(stderr, "hansa bench: %.*s\n", static_cast<int>(why.size()), why.data());
  return kRefused;
}

int run_local(Options& options, const Local& local) {
  if (local.threads_per_process > 1) {
    if (options.ranks_in_process() > 1)
      return refuse("--threads-per-process and -t or -g say the same: give one of them");
    if (local.ranks % local.threads_per_process != 0)
      return refuse(fmt::format("{} ranks are no whole number of processes of {}", local.ranks,
                                local.threads_per_process));
    options.nthreads = local.threads_per_process;
  }
  const int processes = local.ranks / local.threads_per_process;
  return run_processes(processes, options.ranks_in_process(), options.timeout,
                       [&](const Seat& seat) { return run_rank(options, seat); });
}

int run(Options& options, const Local& local) {
  if (const Status status = complete(options, variable); !status.ok()) return refuse(status.message());
  options.arguments = command_line();
  if (!options.algorithm.empty()) set_variable("HANSA_ALGORITHM", options.algorithm);
  if (!options.transport.empty()) set_variable("HANSA_TRANSPORT", options.transport);
  if (local.ranks > 0) return run_local(options, local);
  World world;
  const auto launcher = launcher_of_this_process();
  if (!launcher.ok()) return refuse(launcher.status().message());
  if (launcher.value() != nullptr) {
    auto found = world_of(*launcher.value(), options.ranks_in_process(), config().init_patience());
    if (!found.ok()) {
      refuse(found.status().message());
      return kCallFailed;
    }
    world = std::move(found).value();
  }
  return run_here(options.ranks_in_process(), options.timeout, world,
                  [&](const Seat& seat) { return run_rank(options, seat); });
}

// nccl-tests' flags, for a program that is known.
int run_program(const Program& program, const std::string& name, std::vector<std::string> flags,
                const Local& local) {
  Options options;
  options.program = &program;
  options.program_name = name;
  CLI::App app{
      fmt::format("{}: {} in the manner of nccl-tests. Sizes may end in K, M or G.", name, program.name),
      name};
  app.set_help_flag("-h,--help", "print this and exit");
  add_flags(app, options);
  std::ranges::reverse(flags);  // as CLI11 wants them
  try {
    app.parse(flags);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kRefused;
  }
  return run(options, local);
}

int run_words(std::vector<std::string> words, const Local& local) {
  const Program* const program = words.empty() ? nullptr : find_program(words.front());
  if (program == nullptr) {
    std::string names;
    for (const Program& one : programs()) names += fmt::format(" {}", one.name);
    return refuse(fmt::format("{}: the programs are{}; flags of a program stand behind its name",
                              words.empty() ? "no program is given" : words.front() + " is no program",
                              names));
  }
  words.erase(words.begin());
  return run_program(*program, fmt::format("{}_perf", program->name), std::move(words), local);
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
  auto local = std::make_shared<Local>();
  CLI::App* command = app.add_subcommand(
      "bench", "Measure a collective: nccl-tests' programs, flags, columns and exit codes");
  command->prefix_command();
  std::string footer = "Programs:";
  for (const Program& program : programs()) footer += fmt::format(" {}", program.name);
  command->footer(
      footer +
      "\nnccl-tests' flags stand behind the program: PROGRAM --help lists them. Without -n, the ranks "
      "are those of mpiexec, srun or torchrun, or -t times -g threads.");
  command->add_option("-n,--ranks", local->ranks, "ranks to start on this machine, each a process")
      ->check(CLI::Range(1, 4096));
  command
      ->add_option("--threads-per-process", local->threads_per_process,
                   "so many of the ranks are threads of one process")
      ->check(CLI::Range(1, 4096));
  command->callback([command, local, &status] { status = run_words(command->remaining(), *local); });
}

std::optional<int> bench_by_name(int argc, char** argv) {
  const std::string_view path = argc > 0 ? argv[0] : "";
  const std::string name(path.substr(path.rfind('/') + 1));
  const Program* const program =
      name.ends_with("_perf") || name.ends_with("_perf_mpi") ? find_program(name) : nullptr;
  if (program == nullptr) return std::nullopt;
  return run_program(*program, name, {argv + 1, argv + argc}, Local());
}

}  // namespace hansa::tools
