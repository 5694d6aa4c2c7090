#include "tools/bench/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>

namespace hansa::bench {
namespace {

constexpr int kMany = std::numeric_limits<int>::max();

Status refused(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

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

Result<double> read_number(const char* name, const char* text, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= least && value <= most))
    return refused(fmt::format("{}={}: must be a number from {} to {}", name, text, least, most));
  return value;
}

Status read_traffic(Options& options, const std::function<const char*(const char*)>& lookup) {
  if (const char* text = lookup("NCCL_TESTS_ALLTOALLV_SPREAD")) {
    HANSA_ASSIGN_OR_RETURN(options.traffic.spread, read_number("NCCL_TESTS_ALLTOALLV_SPREAD", text, 0, 1));
  }
  const char* path = lookup("NCCL_TESTS_ALLTOALLV_MATRIX_FILE");
  if (path == nullptr) return {};
  double scale = 1;
  if (const char* text = lookup("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE")) {
    HANSA_ASSIGN_OR_RETURN(scale, read_number("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE", text, 0, 1e12));
  }
  std::ifstream file(path);
  if (!file) return refused(fmt::format("NCCL_TESTS_ALLTOALLV_MATRIX_FILE={} cannot be read", path));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  HANSA_ASSIGN_OR_RETURN(options.traffic.matrix, parse_matrix(text, scale));
  if (options.minbytes != options.maxbytes)
    return refused("with a traffic matrix -b and -e must be equal: the matrix says what is sent");
  return {};
}

Status read_variables(Options& options, const std::function<const char*(const char*)>& lookup) {
  if (const char* text = lookup("NCCL_TESTS_MIN_BW")) {
    HANSA_ASSIGN_OR_RETURN(options.least_bandwidth, read_number("NCCL_TESTS_MIN_BW", text, 0, 1e12));
  }
  if (const char* text = lookup("NCCL_TESTS_DEVICE")) {
    HANSA_ASSIGN_OR_RETURN(const double device, read_number("NCCL_TESTS_DEVICE", text, -1, 1e6));
    options.device = static_cast<int>(device);
  }
  if (const char* mask = lookup("NCCL_TESTS_SPLIT_MASK")) {
    HANSA_ASSIGN_OR_RETURN(options.split, parse_split_mask(mask));
  } else if (const char* rule = lookup("NCCL_TESTS_SPLIT")) {
    HANSA_ASSIGN_OR_RETURN(options.split, parse_split(rule));
  }
  if (std::string_view(options.program->name) == "alltoallv") return read_traffic(options, lookup);
  return {};
}

bool is_json(std::string_view path) {
  std::string end(path.substr(path.size() - std::min<std::size_t>(path.size(), 5)));
  std::ranges::transform(end, end.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".json";
}

}  // namespace

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

Status complete(Options& o, const std::function<const char*(const char*)>& lookup) {
  if (o.minbytes > o.maxbytes)
    return refused(
        fmt::format("invalid sizes for 'minbytes' and 'maxbytes': {} > {}", o.minbytes, o.maxbytes));
  if (o.per_iter_skip >= o.iters)
    return refused(fmt::format("-K {}: must be less than the {} iterations of -n", o.per_iter_skip, o.iters));
  if (o.per_iter_skip > 0 && !o.per_iter_timing) return refused("-K says what -I leaves out: add -I 1");
  if (o.timing == Timing::kBarrier && (o.blocking != 0 || o.agg_iters != 1))
    return refused("--timing barrier times one operation at a time: it does not go with -z or -m");
  if (!o.output_file.empty() && !is_json(o.output_file))
    return refused(fmt::format("-J {}: the name must end in .json, the only form there is", o.output_file));
  return read_variables(o, lookup);
}

bool Options::advance(std::size_t& size) const {
  std::size_t step = stepbytes;
  if (stepfactor > 1) {
    const auto factor = static_cast<std::size_t>(stepfactor);
    if (size > maxbytes / factor) return false;
    step = size == 0 ? 1 : size * (factor - 1);
  }
  if (step == 0 || maxbytes - size < step) return false;
  size += step;
  return true;
}

std::vector<Type> Options::types() const {
  std::vector<Type> chosen;
  for (const Type& type : bench::types())
    if (datatype == "all" || datatype == type.name) chosen.push_back(type);
  return chosen;
}

std::vector<Op> Options::ops() const {
  if (program->shown_op != nullptr) return {Op::kMove};
  std::vector<Op> chosen;
  for (int i = 0; i < kReductions; ++i)
    if (op == "all" || op == name_of(static_cast<Op>(i))) chosen.push_back(static_cast<Op>(i));
  return chosen;
}

}  // namespace hansa::bench
