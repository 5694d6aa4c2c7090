#include "base/config_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/lists.hpp"

namespace hansa {
namespace {

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), fits);
}

}  // namespace

Layer parse_config_file(std::string_view text, const std::string& path,
                        std::vector<std::string>& complaints) {
  Layer layer;
  int number = 0;
  for (const std::string_view whole : split(text, '\n')) {
    ++number;
    const std::string_view line = trimmed(whole);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t equals = line.find('=');
    const std::string_view name = trimmed(line.substr(0, equals));
    std::string origin = fmt::format("{}:{}", path, number);
    if (equals == line.npos || !is_name(name) || line.find('\0') != line.npos) {
      complaints.push_back(
          fmt::format("hansa: {} is ignored: a line must be NAME=VALUE or begin with #", origin));
      continue;
    }
    if (std::any_of(layer.begin(), layer.end(), [&](const Variable& one) { return one.name == name; }))
      continue;
    layer.push_back({std::string(name), std::string(trimmed(line.substr(equals + 1))), std::move(origin)});
  }
  return layer;
}

}  // namespace hansa
