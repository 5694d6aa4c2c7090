// The file that HANSA_TOPOLOGY names: which hosts are near each other. A line
//
//     group NAME: HOST HOST ...
//
// puts hosts into a group; a group may go on in further lines. A HOST is a host's name, or several as Slurm
// writes them, nid[001000-001007,001012]. # begins a comment. Anything else is an error that names the line.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hansa/status.hpp"

namespace hansa {

class TopologyFile {
 public:
  // Names at most so many hosts.
  static constexpr std::size_t kMostHosts = 1 << 20;

  // Reads and parses the file; blocks on it.
  static Result<TopologyFile> read(const std::string& path);
  static Result<TopologyFile> parse(std::string_view text);

  // The number of the host's group, in the order of the file; none where the file does not name the host.
  std::optional<std::uint32_t> group_of(std::string_view host) const;

 private:
  Status add_line(std::string_view line);
  Status add_hosts(std::string_view written, std::uint32_t group);
  Status add_range(std::string_view before, std::string_view range, std::string_view after,
                   std::uint32_t group);
  Status add_host(std::string host, std::uint32_t group);

  std::map<std::string, std::uint32_t, std::less<>> groups_, hosts_;  // by name
};

}  // namespace hansa
