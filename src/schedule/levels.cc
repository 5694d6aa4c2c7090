#include "hansa/levels.hpp"

#include <algorithm>
#include <map>

namespace hansa {

Partition::Partition(std::span<const std::uint32_t> labels) {
  std::map<std::uint32_t, Rank> numbers;
  for (const std::uint32_t label : labels) {
    const Rank part = numbers.try_emplace(label, count()).first->second;
    if (part == count()) parts.emplace_back();
    parts[static_cast<std::size_t>(part)].push_back(static_cast<Rank>(part_of.size()));
    part_of.push_back(part);
  }
}

Rank Partition::most() const {
  std::size_t most = 0;
  for (const auto& part : parts) most = std::max(most, part.size());
  return static_cast<Rank>(most);
}

bool Partition::even() const {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const std::vector<Rank>& part) { return part.size() == parts.front().size(); });
}

Levels::Levels(std::span<const std::uint32_t> host_of, std::span<const std::uint32_t> group_of) {
  const auto divides = [](const Partition& partition) {
    return partition.count() > 1 && partition.most() > 1;
  };
  Partition hosts(host_of);
  std::vector<std::uint32_t> labels(hosts.parts.size(), 0);
  for (std::size_t host = 0; host < labels.size() && !group_of.empty(); ++host)
    labels[host] = group_of[static_cast<std::size_t>(hosts.parts[host].front())];
  Partition groups(labels);
  hosts_ = hosts.count();
  groups_ = groups.count();
  host_of_ = hosts.part_of;
  for (const Rank host : host_of_) group_of_.push_back(groups.part_of[static_cast<std::size_t>(host)]);
  if (divides(hosts)) partitions_.push_back(std::move(hosts));
  if (divides(groups)) partitions_.push_back(std::move(groups));
}

bool Levels::even() const {
  return std::all_of(partitions_.begin(), partitions_.end(),
                     [](const Partition& partition) { return partition.even(); });
}

}  // namespace hansa
