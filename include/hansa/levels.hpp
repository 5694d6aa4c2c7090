// Which ranks are near each other: the ranks of a host, the hosts of a group. A fact that all ranks of a
// communicator know alike, so that algorithms can keep bytes where they are cheap.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hansa/types.hpp"

namespace hansa {

// Members 0, 1, ... shared out to parts: ranks to hosts, or hosts to groups.
struct Partition {
  // By label: members with one label are of one part.
  explicit Partition(std::span<const std::uint32_t> labels);

  Rank count() const { return static_cast<Rank>(parts.size()); }
  std::span<const Rank> part(Rank number) const { return parts[static_cast<std::size_t>(number)]; }
  std::span<const Rank> mates(Rank member) const { return part(part_of[static_cast<std::size_t>(member)]); }
  Rank most() const;  // members of one part
  bool even() const;  // all parts are of one size

  std::vector<Rank> part_of;             // by member
  std::vector<std::vector<Rank>> parts;  // members in rising order; parts in the order of their first members
};

// Immutable.
class Levels {
 public:
  // One host of no ranks.
  Levels() = default;
  // Labels by rank: of its host, and of its host's group, where that of the host's lowest rank counts. No
  // groups: all hosts are of one.
  explicit Levels(std::span<const std::uint32_t> host_of, std::span<const std::uint32_t> group_of = {});

  Rank ranks() const { return static_cast<Rank>(host_of_.size()); }
  Rank hosts() const { return hosts_; }
  Rank groups() const { return groups_; }
  // By rank; hosts, and groups, are numbered in the order of their lowest ranks.
  std::span<const Rank> host_of() const { return host_of_; }
  std::span<const Rank> group_of() const { return group_of_; }

  // From the ranks outwards: the members of the first are the ranks, those of the next are the first's parts.
  // What joins nobody, or everybody, is left out: none where each host has one rank and there is one group.
  std::span<const Partition> partitions() const { return partitions_; }
  bool even() const;  // all partitions are

 private:
  Rank hosts_ = 1, groups_ = 1;
  std::vector<Rank> host_of_, group_of_;
  std::vector<Partition> partitions_;
};

}  // namespace hansa
