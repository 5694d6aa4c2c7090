#include "tools/bench/json.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "hansa/hansa.h"

namespace hansa::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 3;

const char* word(bool value) { return value ? "true" : "false"; }  // nccl-tests' booleans are strings

Json body(const Options& options, const Measured& measured) {
  Json json;
  json[options.report_cputime ? "cpu_time" : "time"] = measured.seconds * 1e6;
  json["alg_bw"] = measured.algorithm_bandwidth;
  json["bus_bw"] = measured.bus_bandwidth;
  json["nwrong"] = measured.checked ? Json(static_cast<double>(measured.wrong)) : Json(nullptr);
  return json;
}

Json in_microseconds(const std::vector<double>& seconds) {
  Json list = Json::array();
  for (const double time : seconds) list.push_back(time * 1e6);
  return list;
}

Json iterations(const Options& options, const Measured& measured) {
  const auto first = measured.iterations.begin() + options.per_iter_skip;
  const Statistics all = statistics_of({first, measured.iterations.end()});
  Json json;
  json["skipped_iterations"] = options.per_iter_skip;
  json["min_us"] = all.least * 1e6;
  json["max_us"] = all.most * 1e6;
  json["avg_us"] = all.mean * 1e6;
  json["p50_us"] = all.p50 * 1e6;
  json["p95_us"] = all.p95 * 1e6;
  json["p99_us"] = all.p99 * 1e6;
  json["stdev_us"] = all.deviation * 1e6;
  json["cv_pct"] = all.variation();
  json["times_us"] = in_microseconds(measured.iterations);
  if (measured.by_process.size() > 1) {
    Json& processes = json["per_process_max_times_us"] = Json::array();
    for (const auto& times : measured.by_process) processes.push_back(in_microseconds(times));
  }
  return json;
}

Json config(const Options& o, const std::vector<Introduction>& ranks) {
  Json json;
  json["nthreads"] = o.nthreads;
  json["ngpus"] = o.ngpus;
  json["minimum_bytes"] = o.minbytes;
  json["maximum_bytes"] = o.maxbytes;
  if (o.stepfactor > 1)
    json["step_factor"] = o.stepfactor;
  else
    json["step_bytes"] = o.stepbytes;
  json["warmup_iters"] = o.warmup_iters;
  json["iterations"] = o.iters;
  json["aggregated_iterations"] = o.agg_iters;
  json["validation"] = o.check;
  json["graph"] = 0;
  json["blocking_collectives"] = word(o.blocking != 0);
  json["per_iter_timing"] = word(o.per_iter_timing != 0);
  json["per_iter_skip"] = o.per_iter_skip;
  json["parallel_init"] = word(o.parallel_init != 0);
  Json& devices = json["devices"] = Json::array();
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    Json device;
    device["rank"] = rank;
    device["group"] = ranks[rank].color;
    device["pid"] = ranks[rank].process_id;
    device["hostname"] = ranks[rank].host;
    device["device"] = ranks[rank].device;
    device["device_hex"] = "0000:00:00";
    device["device_info"] = ranks[rank].device_name;
    devices.push_back(device);
  }
  return json;
}

Json result(const Options& options, const Row& row) {
  Json json;
  json["size"] = row.bytes;
  json["count"] = row.count;
  json["type"] = row.type;
  json["redop"] = row.op;
  json["root"] = fmt::format("{:6}", row.root);
  json["out_of_place"] = body(options, row.apart);
  if (!row.apart.iterations.empty()) json["out_of_place_per_iter"] = iterations(options, row.apart);
  json["in_place"] = body(options, row.in_place);
  if (!row.in_place.iterations.empty()) json["in_place_per_iter"] = iterations(options, row.in_place);
  json["actual_iterations"] = options.iters;
  json["experiment_name"] = "";
  return json;
}

}  // namespace

struct JsonReport::Document {
  Json json;
};

JsonReport::JsonReport(const Options& options, const std::vector<std::string>& environment)
    : options_(options), document_(std::make_unique<Document>()) {
  int version = 0;
  ncclGetVersion(&version);
  Json& json = document_->json;
  json["version"] = kSchema;
  json["start_time"] = time_of_day();
  json["args"] = options.arguments;
  json["env"] = environment;
  json["nccl_version"] = version;
}

JsonReport::~JsonReport() = default;

void JsonReport::head(const std::vector<Introduction>& ranks) {
  document_->json["config"] = config(options_, ranks);
  document_->json["results"] = Json::array();
}

void JsonReport::row(const Row& row) { document_->json["results"].push_back(result(options_, row)); }

std::string JsonReport::text() const { return document_->json.dump(1); }

void JsonReport::foot(const Summary& summary) {
  Json& document = document_->json;
  const Options& options = options_;
  document["out_of_bounds"] = {{"count", summary.wrong_checks}, {"okay", word(summary.wrong_checks == 0)}};
  document["average_bus_bandwidth"] = {
      {"bandwidth", summary.mean_bandwidth},
      {"okay", options.least_bandwidth < 0 ? "unchecked" : word(summary.fast_enough(options))}};
  document["errors"] = Json::array();
  document["hansa"] = {
      {"version", fmt::format("{}.{}.{}", HANSA_VERSION_MAJOR, HANSA_VERSION_MINOR, HANSA_VERSION_PATCH)},
      {"timing", options.timing == Timing::kBarrier ? "barrier" : "back-to-back"},
      {"buffers", options.malloc_buffers ? "malloc" : "ncclMemAlloc"},
      {"algorithm", options.algorithm},
      {"transport", options.transport},
      {"stopped", summary.stopped}};
  document["end_time"] = time_of_day();
}

}  // namespace hansa::bench
