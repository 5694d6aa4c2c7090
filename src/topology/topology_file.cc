#include "topology/topology_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/lists.hpp"

namespace hansa {
namespace {

Status bad(std::string message) { return Status(Code::kInvalidUsage, std::move(message)); }

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || at != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<TopologyFile> TopologyFile::read(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad())
    return bad(fmt::format("HANSA_TOPOLOGY={} cannot be read: {}", path, std::strerror(errno)));
  auto parsed = parse(text);
  return parsed.ok() ? std::move(parsed)
                     : Result<TopologyFile>(parsed.status().within("HANSA_TOPOLOGY=" + path));
}

Result<TopologyFile> TopologyFile::parse(std::string_view text) {
  TopologyFile file;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (Status status = file.add_line(trimmed(line.substr(0, line.find('#')))); !status.ok())
      return status.within(fmt::format("line {}", number));
  }
  if (file.hosts_.empty()) return bad("names no host: write lines like 'group a: host1 host2'");
  return file;
}

std::optional<std::uint32_t> TopologyFile::group_of(std::string_view host) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? std::nullopt : std::optional(found->second);
}

Status TopologyFile::add_line(std::string_view line) {
  if (line.empty()) return {};
  constexpr std::string_view kWord = "group";
  const std::size_t colon = line.find(':');
  if (!line.starts_with(kWord) || colon == line.npos)
    return bad(fmt::format("'{}' is not of the form 'group NAME: HOST HOST ...'", line));
  const std::string_view name = trimmed(line.substr(kWord.size(), colon - kWord.size()));
  if (!is_name(name) || line[kWord.size()] == name.front())
    return bad(fmt::format("'{}' is no name for a group: letters, digits, '-', '_' and '.' make one", name));
  const auto group =
      groups_.try_emplace(std::string(name), static_cast<std::uint32_t>(groups_.size())).first->second;
  std::string words(line.substr(colon + 1));
  std::replace(words.begin(), words.end(), '\t', ' ');
  bool any = false;
  for (const std::string_view word : split(words, ' ')) {
    if (word.empty()) continue;
    HANSA_RETURN_IF_ERROR(add_hosts(word, group));
    any = true;
  }
  return any ? Status() : bad(fmt::format("group {} has no host in this line", name));
}

Status TopologyFile::add_hosts(std::string_view written, std::uint32_t group) {
  const std::size_t open = written.find('['), close = written.find(']');
  if (open == written.npos && close == written.npos) return add_host(std::string(written), group);
  if (open == written.npos || close == written.npos || close < open)
    return bad(fmt::format("'{}' has a bracket without the other", written));
  for (const std::string_view range : split(written.substr(open + 1, close - open - 1), ','))
    HANSA_RETURN_IF_ERROR(add_range(written.substr(0, open), range, written.substr(close + 1), group));
  return {};
}

// Numbers are as wide as the first is written.
Status TopologyFile::add_range(std::string_view before, std::string_view range, std::string_view after,
                               std::uint32_t group) {
  const std::size_t dash = range.find('-');
  const std::string_view low = range.substr(0, dash),
                         high = dash == range.npos ? low : range.substr(dash + 1);
  const auto first = number(low), last = number(high);
  constexpr std::size_t kMostDigits = 10;
  if (!first || !last || *first > *last || *last - *first >= kMostHosts || low.size() > kMostDigits)
    return bad(fmt::format("'{}' is no range of numbers like 1-8", range));
  for (std::uint64_t i = *first; i <= *last; ++i)
    HANSA_RETURN_IF_ERROR(add_host(fmt::format("{}{:0{}}{}", before, i, low.size(), after), group));
  return {};
}

Status TopologyFile::add_host(std::string host, std::uint32_t group) {
  if (!is_name(host)) return bad(fmt::format("'{}' is no name of a host", host));
  if (hosts_.size() >= kMostHosts) return bad(fmt::format("more than {} hosts", kMostHosts));
  const auto [found, added] = hosts_.try_emplace(std::move(host), group);
  return added ? Status() : bad(fmt::format("host {} is named twice", found->first));
}

}  // namespace hansa
