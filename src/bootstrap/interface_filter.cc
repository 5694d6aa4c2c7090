#include "bootstrap/interface_filter.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/lists.hpp"

namespace hansa::bootstrap {

Result<InterfaceFilter> InterfaceFilter::parse(std::string_view text) {
  InterfaceFilter filter;
  std::string_view rest = text;
  if (rest.starts_with('^')) {
    filter.except_ = true;
    rest.remove_prefix(1);
  }
  if (rest.starts_with('=')) {
    filter.exact_ = true;
    rest.remove_prefix(1);
  }
  for (const std::string_view word : split(rest, ','))
    if (!trimmed(word).empty()) filter.words_.emplace_back(trimmed(word));
  if (filter.words_.empty() && !text.empty())
    return Status(Code::kInvalidArgument,
                  fmt::format("'{}' names no interface; HANSA_INTERFACE (or NCCL_SOCKET_IFNAME) must be like "
                              "eth0, =eth0 or ^docker,lo",
                              text));
  return filter;
}

bool InterfaceFilter::admits(std::string_view name) const {
  const bool found = std::any_of(words_.begin(), words_.end(), [&](const std::string& word) {
    return exact_ ? name == word : name.starts_with(word);
  });
  return words_.empty() || found != except_;
}

bool InterfaceFilter::names(std::string_view name) const {
  return !except_ && std::find(words_.begin(), words_.end(), name) != words_.end();
}

}  // namespace hansa::bootstrap
