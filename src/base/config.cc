#include "base/config.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace hansa {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || at != end || port == 0) return std::nullopt;
  return port;
}

bool parse_ports(std::string_view text, PortRange& into) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return false;
  into = {*first, *last};
  return true;
}

bool parse_seconds(std::string_view text, double& into) {
  double seconds = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc() || at != end || !(seconds >= 0 && seconds <= 1e9)) return false;
  into = seconds;
  return true;
}

bool parse_flag(std::string_view text, bool& into) {
  if (text != "0" && text != "1") return false;
  into = text == "1";
  return true;
}

// NCCL's words. VERSION asks for no more than the version, which every level above NONE tells.
bool parse_level(std::string_view text, LogLevel& into) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (upper == "NONE")
    into = LogLevel::kNone;
  else if (upper == "WARN" || upper == "VERSION")
    into = LogLevel::kWarn;
  else if (upper == "INFO")
    into = LogLevel::kInfo;
  else if (upper == "TRACE")
    into = LogLevel::kTrace;
  else
    return false;
  return true;
}

bool keep(std::string_view text, std::string& into) {
  into = text;
  return true;
}

constexpr const char* kLevels = "NONE, WARN, INFO or TRACE";
constexpr const char* kSeconds = "a number of seconds, from 0 to 1e9";

// Later rows win over earlier ones: a name of ours stands after the foreign one it replaces.
constexpr Setting kSettings[] = {
    {"NCCL_DEBUG", "", kLevels, "The same as HANSA_DEBUG, for programs that set it for NCCL.",
     [](std::string_view text, Config& into) { return parse_level(text, into.debug); }},
    {"HANSA_DEBUG", "WARN", kLevels, "How much to say on stderr.",
     [](std::string_view text, Config& into) { return parse_level(text, into.debug); }},
    {"HANSA_TRANSPORT", "", "a comma-separated list of transports",
     "The only transports to use; each peer is reached over the best of them.",
     [](std::string_view text, Config& into) { return keep(text, into.transport); }},
    {"HANSA_ALGORITHM", "", "an algorithm, or a list like allreduce:ring,allgather:direct",
     "The algorithm to use wherever it can serve; by default the tuner's choice.",
     [](std::string_view text, Config& into) { return keep(text, into.algorithm); }},
    {"HANSA_INTERFACE", "", "the name or an address of a network interface",
     "The interface that ranks meet on; by default the one that reaches the other hosts.",
     [](std::string_view text, Config& into) { return keep(text, into.interface); }},
    {"HANSA_PORT_RANGE", "", "a port or a range like 20000-20100, from 1 to 65535",
     "The TCP ports to listen on; by default the kernel chooses.",
     [](std::string_view text, Config& into) { return parse_ports(text, into.port_range); }},
    {"HANSA_INIT_TIMEOUT", "60", kSeconds,
     "How long to wait for all ranks to come to an initialisation; 0 is forever.",
     [](std::string_view text, Config& into) { return parse_seconds(text, into.init_timeout); }},
    {"HANSA_LATE_REPORT", "10", kSeconds,
     "How long an operation may wait before the ranks it waits for are named.",
     [](std::string_view text, Config& into) { return parse_seconds(text, into.late_report); }, true},
    {"HANSA_TIMEOUT", "0", kSeconds, "How long an operation may take before it is an error; 0 is forever.",
     [](std::string_view text, Config& into) { return parse_seconds(text, into.timeout); }, true},
    {"HANSA_TOPOLOGY", "", "a file", "What lies where (hosts, groups), instead of what discovery finds.",
     [](std::string_view text, Config& into) { return keep(text, into.topology); }, true},
    {"HANSA_CHECKSUM", "0", "0 or 1", "Whether every message carries a checksum that its receiver verifies.",
     [](std::string_view text, Config& into) { return parse_flag(text, into.checksum); }, true},
    {"HANSA_HOST_ID", "", "a word",
     "What tells this host from others; by default the kernel's boot id. Ranks with different words share no "
     "memory.",
     [](std::string_view text, Config& into) { return keep(text, into.host_id); }},
};

Config read_environment() {
  std::vector<std::string> complaints;
  Config result = read_config(process_environment(), complaints);
  // Not through the log, which is configured from here.
  for (std::string& line : complaints) {
    line.append("\n");
    if (result.debug != LogLevel::kNone && ::write(STDERR_FILENO, line.data(), line.size()) < 0) break;
  }
  return result;
}

}  // namespace

Lookup process_environment() {
  return [](const char* name) -> const char* { return std::getenv(name); };
}

std::span<const Setting> settings() noexcept { return kSettings; }

Config read_config(const Lookup& lookup, std::vector<std::string>& complaints) {
  Config result;
  for (const Setting& setting : kSettings) {
    const char* value = lookup(setting.name);
    if (value == nullptr || *value == '\0') continue;
    if (setting.parse(value, result)) {
      if (setting.planned && std::string_view(value) != setting.standard)
        complaints.push_back(std::string("hansa: ") + setting.name +
                             " has no effect in this version yet; unset it");
      continue;
    }
    complaints.push_back(std::string("hansa: ") + setting.name + "=" + value + " is ignored: it must be " +
                         setting.accepts + "; using " +
                         (*setting.standard ? setting.standard : "the default"));
  }
  return result;
}

std::chrono::milliseconds Config::init_patience() const {
  const double seconds = init_timeout > 0 ? init_timeout : 1e9;
  return std::chrono::milliseconds(std::max<std::int64_t>(static_cast<std::int64_t>(seconds * 1000), 1));
}

const Config& config() {
  static const Config instance = read_environment();
  return instance;
}

}  // namespace hansa
