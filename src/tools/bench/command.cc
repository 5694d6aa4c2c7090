// `hansa bench`, and the same program under the names of nccl-tests' programs.
#include "tools/bench/command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
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

constexpr int kMany = std::numeric_limits<int>::max();

// As getopt has it: of a flag given twice, the last counts.
CLI::Option* number(CLI::App& app, const char* flags, int& into, int least, int most, const char* help) {
  return app.add_option(flags, into, help)
      ->check(CLI::Range(least, most))
      ->take_last()
      ->capture_default_str();
}

void size(CLI::App& app, const char* flags, std::size_t& into, const char* standard, const char* help) {
  app.add_option_function<std::string>(
         flags,
         [&into](const std::string& text) {
           auto parsed = parse_size(text);
           if (!parsed.ok()) throw CLI::ValidationError(parsed.status().c_str());
           into = parsed.value();
         },
         help)
      ->type_name("BYTES")
      ->default_str(standard)
      ->take_last();
}

// A flag of nccl-tests that says nothing about host memory: its standard value is accepted, any other
// refused.
void standard_only(CLI::App& app, const char* flags, std::vector<int> accepted, const char* why) {
  app.add_option_function<int>(
         flags,
         [flags, accepted, why](const int& value) {
           if (std::ranges::find(accepted, value) == accepted.end())
             throw CLI::ValidationError(fmt::format("{} {}: {}", flags, value, why));
         },
         fmt::format("only {}: {}", accepted.front(), why))
      ->take_last();
}

void add_sizes(CLI::App& app, Options& o) {
  number(app, "-t,--nthreads", o.nthreads, 1, 4096, "threads of each process");
  number(app, "-g,--ngpus", o.ngpus, 1, 4096, "ranks of each thread (each gets a thread of its own)");
  size(app, "-b,--minbytes", o.minbytes, "32M", "smallest size");
  size(app, "-e,--maxbytes", o.maxbytes, "32M", "largest size");
  size(app, "-i,--stepbytes", o.stepbytes, "1M", "from size to size, if -f is not given");
  app.add_option("-f,--stepfactor", o.stepfactor, "each size is so many times the one before")
      ->check(CLI::Range(0L, 1L << 40))
      ->take_last();
}

void add_repetitions(CLI::App& app, Options& o) {
  number(app, "-n,--iters", o.iters, 1, kMany, "timed iterations");
  number(app, "-w,--warmup_iters", o.warmup_iters, 0, kMany, "iterations before, untimed");
  number(app, "-m,--agg_iters", o.agg_iters, 1, kMany, "operations of one iteration, in one group");
  number(app, "-N,--run_cycles", o.run_cycles, 0, kMany, "times to run all sizes; 0: until stopped");
  number(app, "-c,--check", o.check, 0, kMany, "checked operations of each size; 0: none");
  number(app, "-T,--timeout", o.timeout, 0, kMany, "seconds a measurement may take; 0: any");
  number(app, "-p,--parallel_init", o.parallel_init, 0, 1,
         "only for the header: ranks always initialise in parallel");
  number(app, "-z,--blocking", o.blocking, 0, 3,
         "0: back to back; 1: barrier after each operation; 2: operations of -m not grouped; 3: barrier "
         "after each "
         "iteration, not timed");
}

void add_operations(CLI::App& app, Options& o) {
  std::vector<std::string> ops{"all"}, names{"all"};
  for (int op = 0; op < kReductions; ++op) ops.emplace_back(name_of(static_cast<Op>(op)));
  for (const Type& type : types()) names.emplace_back(type.name);
  app.add_option("-o,--op", o.op, "reduction, or all")
      ->check(CLI::IsMember(ops))
      ->take_last()
      ->capture_default_str();
  app.add_option("-d,--datatype", o.datatype, "type of the elements, or all")
      ->check(CLI::IsMember(names))
      ->take_last()
      ->capture_default_str();
  number(app, "-r,--root", o.root, -1, kMany, "root; -1: each rank in turn");
  number(app, "-u,--unalign", o.unalign, 0, 4096, "elements by which buffers are off their alignment");
  number(app, "-R,--local_register", o.local_register, 0, 2,
         "register buffers: 1 alone, 2 as a symmetric window");
}

void add_reports(CLI::App& app, Options& o) {
  number(app, "-a,--average", o.average, 0, 3,
         "which rank's time counts: 0 the first's, 1 mean, 2 least, 3 most");
  number(app, "-C,--report_cputime", o.report_cputime, 0, 1,
         "head the time column cputime; calls block here, so both times are one");
  number(app, "-S,--report_timestamps", o.report_timestamps, 0, 1, "time of day behind each line");
  number(app, "-M,--memory", o.memory, 0, 1, "report memory use");
  number(app, "-I,--per_iter_timing", o.per_iter_timing, 0, 1, "columns about single iterations");
  number(app, "-K,--per_iter_skip", o.per_iter_skip, 0, kMany, "iterations left out of those columns");
  app.add_option("-J,--output_file", o.output_file, "write results as JSON too")
      ->take_last()
      ->type_name("FILE.json");
}

void add_ours(CLI::App& app, Options& o) {
  const std::map<std::string, Timing> timings{{"back-to-back", Timing::kBackToBack},
                                              {"barrier", Timing::kBarrier}};
  app.add_option("--timing", o.timing,
                 "back-to-back: as nccl-tests; barrier: each operation alone, from a barrier to the slowest "
                 "rank's end")
      ->transform(CLI::CheckedTransformer(timings))
      ->take_last()
      ->group("Hansa");
  app.add_flag("--percentiles", o.percentiles, "a line about single iterations after each size")
      ->group("Hansa");
  app.add_flag("--malloc", o.malloc_buffers, "buffers of malloc instead of ncclMemAlloc")->group("Hansa");
  app.add_option("--algorithm", o.algorithm, "sets HANSA_ALGORITHM")->take_last()->group("Hansa");
  app.add_option("--transport", o.transport, "sets HANSA_TRANSPORT")->take_last()->group("Hansa");
}

void add_flags(CLI::App& app, Options& options) {
  add_sizes(app, options);
  add_repetitions(app, options);
  add_operations(app, options);
  add_reports(app, options);
  standard_only(app, "-G,--cudagraph", {0}, "there are no CUDA graphs of host memory");
  standard_only(app, "-D,--device_implementation", {0}, "collectives of device code need a GPU");
  standard_only(app, "-V,--device_cta_count", {16}, "collectives of device code need a GPU");
  standard_only(app, "-x,--cta_policy", {0, -1}, "there are no CTAs on a host");
  standard_only(app, "-y,--stream_null", {0, 1}, "calls block, as on the NULL stream");
  add_ours(app, options);
}

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
  if (local.threads_per_process > 1) return refuse("--threads-per-process goes with -n");
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
  options.programs = {&program};
  options.name = name;
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
  std::string footer = "Programs:", ours = "\nand, not in nccl-tests:";
  for (const Program& program : programs())
    (program.of_nccl_tests ? footer : ours) += fmt::format(" {}", program.name);
  command->footer(
      footer + ours +
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

int bench_main(int argc, char** argv) {
  if (const auto result = bench_by_name(argc, argv)) return *result;
  CLI::App app;
  app.require_subcommand(1);
  int status = 0;
  add_bench(app, status);
  CLI11_PARSE(app, argc, argv);
  return status;
}

}  // namespace hansa::tools
