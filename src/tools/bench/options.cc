#include "tools/bench/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace hansa::bench {
namespace {

Status refused(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

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
  const auto is_uneven = [](const Program* program) {
    return std::string_view(program->name) == "alltoallv";
  };
  return std::ranges::any_of(options.programs, is_uneven) ? read_traffic(options, lookup) : Status();
}

bool is_json(std::string_view path) {
  std::string end(path.substr(path.size() - std::min<std::size_t>(path.size(), 5)));
  std::ranges::transform(end, end.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".json";
}

}  // namespace

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
  if (!sizes.empty()) {
    const auto next = std::ranges::upper_bound(sizes, size);
    if (next == sizes.end() || *next > maxbytes) return false;
    size = *next;
    return true;
  }
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

std::vector<Op> Options::ops(const Program& program) const {
  if (program.shown_op != nullptr) return {Op::kMove};
  std::vector<Op> chosen;
  for (int i = 0; i < kReductions; ++i)
    if (op == "all" || op == name_of(static_cast<Op>(i))) chosen.push_back(static_cast<Op>(i));
  return chosen;
}

}  // namespace hansa::bench
