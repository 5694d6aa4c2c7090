#include "topology/nearest_rail.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <vector>

namespace hansa {
namespace {

cpu_set_t none() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return cores;
}

// "7" or "4-7": false where it is neither, or names cores that no set has.
bool read_range(std::string_view text, unsigned& first, unsigned& last) {
  const char* const end = text.data() + text.size();
  auto at = std::from_chars(text.data(), end, first);
  last = first;
  if (at.ec == std::errc() && at.ptr != end && *at.ptr == '-') at = std::from_chars(at.ptr + 1, end, last);
  return at.ec == std::errc() && at.ptr == end && first <= last && last < CPU_SETSIZE;
}

bool contains(const cpu_set_t& cores, const cpu_set_t& some) {
  cpu_set_t both;
  CPU_AND(&both, &cores, &some);
  return CPU_EQUAL(&both, &some) != 0;
}

}  // namespace

cpu_set_t cores_of(std::string_view list) {
  cpu_set_t cores = none();
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    unsigned first = 0, last = 0;
    if (!read_range(list.substr(0, comma), first, last)) return none();
    for (unsigned core = first; core <= last; ++core) CPU_SET(core, &cores);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return cores;
}

std::uint32_t nearest_rail(std::span<const Interface> rails, std::uint32_t place, const std::string& sysfs) {
  if (rails.empty()) return 0;
  cpu_set_t own = none();
  sched_getaffinity(0, sizeof own, &own);
  std::vector<std::uint32_t> all, near;
  for (const Interface& rail : rails) {
    std::string list;
    std::ifstream(sysfs + "/class/net/" + rail.name + "/device/local_cpulist") >> list;
    const cpu_set_t attached = cores_of(list);
    all.push_back(static_cast<std::uint32_t>(all.size()));
    if (CPU_COUNT(&attached) > 0 && contains(attached, own)) near.push_back(all.back());
  }
  const std::vector<std::uint32_t>& among = near.empty() ? all : near;
  return among[place % among.size()];
}

}  // namespace hansa
