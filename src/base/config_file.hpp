// NCCL's configuration files as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.hpp"

namespace hansa {

// A line is NAME=VALUE, up to the first =; # begins a line that says nothing, and so does an empty one. Of a
// name that comes twice the first counts, as in NCCL (its src/misc/param.cc). Blanks around name and value
// are dropped. The origin of each is `path` and the line. A complaint for every line that is none of these.
// Pure.
Layer parse_config_file(std::string_view text, const std::string& path, std::vector<std::string>& complaints);

}  // namespace hansa
