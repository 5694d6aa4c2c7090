#include "core/hosts.hpp"

#include <algorithm>

namespace hansa {

std::vector<std::uint32_t> hosts_of(const std::vector<std::vector<bool>>& near) {
  std::vector<std::vector<std::size_t>> hosts;
  std::vector<std::uint32_t> label;
  for (std::size_t rank = 0; rank < near.size(); ++rank) {
    const auto admits = [&](const std::vector<std::size_t>& host) {
      return std::all_of(host.begin(), host.end(),
                         [&](std::size_t mate) { return near[rank][mate] && near[mate][rank]; });
    };
    const auto found = std::find_if(hosts.begin(), hosts.end(), admits);
    label.push_back(static_cast<std::uint32_t>(found - hosts.begin()));
    if (found == hosts.end())
      hosts.push_back({rank});
    else
      found->push_back(rank);
  }
  return label;
}

}  // namespace hansa
