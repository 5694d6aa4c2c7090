// The JSON form of a report: version 3 of nccl-tests' schema, with what Hansa adds under "hansa".
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/bench/report.hpp"

namespace hansa::bench {

using Json = nlohmann::ordered_json;

// What stands in front of the results. `environment`: NAME=VALUE lines.
Json json_head(const Options& options, const std::vector<std::string>& environment);
Json json_config(const Options& options, const std::vector<Introduction>& ranks);
Json json_row(const Options& options, const Row& row);
void add_summary(Json& document, const Options& options, const Summary& summary);

}  // namespace hansa::bench
