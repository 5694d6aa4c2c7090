// The table of settings, and how each value is read.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>

#include "base/config.hpp"
#include "base/lists.hpp"
#include "base/nccl_algo.hpp"

namespace hansa {
namespace {

constexpr std::array<std::string_view, 18> kSubsystems = {
    "INIT",       "COLL", "P2P",   "SHM",  "NET",       "GRAPH", "TUNING",  "ENV", "ALLOC",
    "ALLOC_HOST", "CALL", "PROXY", "NVLS", "BOOTSTRAP", "REG",   "PROFILE", "RAS", "DESTROY"};

template <class Number>
bool parse_number(std::string_view text, Number least, Number most, Number& into) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end || !(number >= least && number <= most)) return false;
  into = number;
  return true;
}

bool parse_ports(std::string_view text, Config& into, std::string&) {
  const auto dash = text.find('-');
  PortRange ports;
  constexpr std::uint16_t kFirst = 1, kLast = 65535;
  if (!parse_number(text.substr(0, dash), kFirst, kLast, ports.first)) return false;
  ports.last = ports.first;
  if (dash != text.npos && !parse_number(text.substr(dash + 1), ports.first, kLast, ports.last)) return false;
  into.port_range = ports;
  return true;
}

template <double Config::*kMember>
bool parse_seconds(std::string_view text, Config& into, std::string&) {
  return parse_number(text, 0.0, 1e9, into.*kMember);
}

template <std::string Config::*kMember>
bool keep(std::string_view text, Config& into, std::string&) {
  into.*kMember = text;
  return true;
}

bool parse_flag(std::string_view text, bool& into) {
  if (text != "0" && text != "1") return false;
  into = text == "1";
  return true;
}

bool parse_checksum(std::string_view text, Config& into, std::string&) {
  return parse_flag(text, into.checksum);
}

bool parse_copier(std::string_view text, Config& into, std::string&) {
  constexpr std::pair<std::string_view, Copier> kWords[] = {{"auto", Copier::kFaster},
                                                            {"kernel", Copier::kKernel},
                                                            {"ranks", Copier::kRanks},
                                                            {"slots", Copier::kSlots},
                                                            {"depot", Copier::kDepot}};
  for (const auto& [word, copier] : kWords)
    if (word == text) {
      into.copier = copier;
      return true;
    }
  return false;
}

bool parse_fault_point(std::string_view text, Config& into, std::string&) {
  return parse_fault(text, into.fault);
}

bool parse_blocking(std::string_view text, Config& into, std::string&) {
  bool blocking = true;
  if (!parse_flag(text, blocking)) return false;
  into.comm_blocking = blocking;
  return true;
}

// NCCL's words; its ABORT lies between INFO and TRACE and its ATTN between WARN and INFO, where nothing is
// said.
bool parse_level(std::string_view text, Config& into, std::string&) {
  constexpr std::pair<std::string_view, LogLevel> kWords[] = {
      {"NONE", LogLevel::kNone},  {"VERSION", LogLevel::kVersion}, {"WARN", LogLevel::kWarn},
      {"ATTN", LogLevel::kWarn},  {"INFO", LogLevel::kInfo},       {"ABORT", LogLevel::kInfo},
      {"TRACE", LogLevel::kTrace}};
  const std::string word = upper(text);
  for (const auto& [name, level] : kWords)
    if (word == name) {
      into.debug = level;
      return true;
    }
  return false;
}

// A list of what to show, or with ^ before it of what not to. A ^ before a later item takes that one out.
bool parse_subsystems(std::string_view text, Config& into, std::string& remark) {
  const bool all_but = text.starts_with('^');
  std::uint32_t wanted = all_but ? ~std::uint32_t{0} : 0;
  bool any = false;
  for (std::string_view item : split(text.substr(all_but ? 1 : 0), ',')) {
    const bool out = all_but || item.starts_with('^');
    const std::string name = upper(item.substr(item.starts_with('^') ? 1 : 0));
    const auto found = std::find(kSubsystems.begin(), kSubsystems.end(), name);
    std::uint32_t bits = name == "ALL" ? ~std::uint32_t{0} : 0;
    if (found != kSubsystems.end()) bits = std::uint32_t{1} << (found - kSubsystems.begin());
    if (bits == 0 && !item.empty()) remark += (remark.empty() ? "no subsystem is called " : ", ") + name;
    any = any || bits != 0;
    wanted = out ? wanted & ~bits : wanted | bits;
  }
  if (any) into.subsystems = wanted;
  return any;
}

// Made absolute at once: the program may change its directory before there is something to say.
bool parse_debug_file(std::string_view text, Config& into, std::string&) {
  char here[PATH_MAX];
  const bool absolute = text.starts_with('/');
  if (!absolute && ::getcwd(here, sizeof here) == nullptr) return false;
  into.debug_file = absolute ? std::string(text) : escape_percent(here) + "/" + std::string(text);
  return true;
}

bool parse_dump(std::string_view text, Config& into, std::string&) {
  char here[PATH_MAX];
  const bool absolute = text.starts_with('/');
  if (!absolute && ::getcwd(here, sizeof here) == nullptr) return false;
  into.dump = absolute ? std::string(text) : std::string(here) + "/" + std::string(text);
  return true;
}

bool parse_family(std::string_view text, Config& into, std::string&) {
  if (text != "AF_INET" && text != "AF_INET6") return false;
  into.address_family = text == "AF_INET" ? 4 : 6;
  return true;
}

bool parse_nccl_algo(std::string_view text, Config& into, std::string& remark) {
  into.algorithm = wish_of_nccl_algo(text, remark);
  return true;
}

bool parse_nccl_version(std::string_view text, Config& into, std::string&) {
  return parse_number(text, 20900, 99999, into.nccl_version);
}

// Where the files are is looked up before the table is gone through.
bool noted(std::string_view, Config&, std::string&) { return true; }

constexpr const char* kLevels = "NONE, VERSION, WARN, INFO or TRACE";
constexpr const char* kSeconds = "a number of seconds, from 0 to 1e9";
constexpr const char* kInterfaces =
    "names of network interfaces or their beginnings, like eth,ib0; =eth0 exactly; ^docker all but; or an "
    "address";

using Trait = Setting::Trait;

constexpr Setting kSettings[] = {
    {"NCCL_DEBUG", "", kLevels, "As HANSA_DEBUG.", parse_level, Trait::kNone, "HANSA_DEBUG"},
    {"NCCL_DEBUG_SUBSYS", "", "a list of NCCL's subsystems, like INIT,NET; ^INIT,NET all but",
     "Which INFO and TRACE lines to show; by default all.", parse_subsystems},
    {"NCCL_DEBUG_FILE", "", "a file in a directory that exists",
     "Where to write instead of stderr; %h stands for the host, %p for the process. Appended to.",
     parse_debug_file},
    {"NCCL_SOCKET_IFNAME", "", kInterfaces, "As HANSA_INTERFACE.", keep<&Config::interface>, Trait::kNone,
     "HANSA_INTERFACE"},
    {"NCCL_SOCKET_FAMILY", "", "AF_INET or AF_INET6", "Whether ranks meet over IPv4 or IPv6 only.",
     parse_family},
    {"NCCL_ALGO", "", "NCCL's list, like ring,tree or allreduce:tree;broadcast:^ring",
     "As HANSA_ALGORITHM, with NCCL's names: Ring is ring, Tree is double_binary_tree or knomial, PAT is "
     "circulant.",
     parse_nccl_algo, Trait::kNone, "HANSA_ALGORITHM"},
    {"NCCL_COMM_ID", "", "HOST:PORT or [IPV6]:PORT",
     "Where all ranks meet, instead of what a unique id says.", keep<&Config::comm_id>},
    {"NCCL_COMM_BLOCKING", "", "0 or 1", "Whether communicators block, whatever their config says.",
     parse_blocking},
    {"NCCL_CONF_FILE", "", "a file", "The user's configuration file, instead of ~/.nccl.conf.", noted},
    {"NCCL_HOSTID", "", "a word", "As HANSA_HOST_ID.", keep<&Config::host_id>, Trait::kNone, "HANSA_HOST_ID"},
    {"HANSA_DEBUG", "WARN", kLevels, "How much to say on stderr.", parse_level},
    {"HANSA_TRANSPORT", "", "a comma-separated list of transports",
     "The only transports to use; each peer is reached over the best of them.", keep<&Config::transport>},
    {"HANSA_ALGORITHM", "", "an algorithm, or a list like allreduce:ring,allgather:direct",
     "The algorithm to use wherever it can serve; by default the tuner's choice. a|b is the better of the "
     "two, "
     "^a|b any other.",
     keep<&Config::algorithm>},
    {"HANSA_INTERFACE", "", kInterfaces,
     "The interface that ranks meet on; by default the one that reaches the other hosts. Where it names "
     "several, "
     "data go over all of them.",
     keep<&Config::interface>},
    {"HANSA_PORT_RANGE", "", "a port or a range like 20000-20100, from 1 to 65535",
     "The TCP ports to listen on; by default the kernel chooses.", parse_ports},
    {"HANSA_SECRET", "", "a word, or @FILE for the first line of a file",
     "What ranks that meet at NCCL_COMM_ID must all have, so that nobody else can join.",
     keep<&Config::secret>, Trait::kHidden},
    {"HANSA_INIT_TIMEOUT", "60", kSeconds,
     "How long to wait for all ranks to come to an initialisation; 0 is forever.",
     parse_seconds<&Config::init_timeout>},
    {"HANSA_LATE_REPORT", "10", kSeconds,
     "How long an operation may wait before the ranks it waits for are named; 0 is never.",
     parse_seconds<&Config::late_report>},
    {"HANSA_TIMEOUT", "0", kSeconds, "How long an operation may take before it is an error; 0 is forever.",
     parse_seconds<&Config::timeout>},
    {"HANSA_DUMP", "", "a folder",
     "Where each rank writes what it did last, as hansa-flight-HOST-PID-RANK.json, when a communicator "
     "fails; by default nowhere.",
     parse_dump},
    {"HANSA_TOPOLOGY", "", "a file of lines like group a: node[1-4] node7",
     "Which hosts are near each other, so that little crosses from one group to another; by default all are.",
     keep<&Config::topology>},
    {"HANSA_CHECKSUM", "0", "0 or 1",
     "Whether every message carries a checksum that its receiver verifies; no rank then reaches another's "
     "memory "
     "directly, which is slower.",
     parse_checksum},
    {"HANSA_SHM_COPY", "auto", "auto, kernel, ranks, slots or depot",
     "How large messages get from one process's private memory into another's on the same host: by the "
     "kernel, in one copy; "
     "by both ranks at the same time, where they wait in the same call; cut, through the slots that carry "
     "short ones; or by way of memory that all map (a depot), one copy for all who read it. auto is depot "
     "where "
     "more than two ranks outnumber the cores they may use, else kernel where its copies were measured to be "
     "cheap, else slots or ranks, as suits the message.",
     parse_copier},
    {"HANSA_FAULT", "", "POINT=FAULT or POINT:NTH=FAULT, with names of src/base/fault_point.hpp",
     "What goes wrong with this process at a named place, once.", parse_fault_point, Trait::kTesting},
    {"HANSA_HOST_ID", "", "a word",
     "What tells this host from others; by default the kernel's boot id. Ranks with different words share no "
     "memory.",
     keep<&Config::host_id>},
    {"HANSA_NCCL_VERSION", "22707", "a version code like 22907",
     "What ncclGetVersion reports, for programs that insist on another version.", parse_nccl_version},
};

}  // namespace

std::span<const std::string_view> subsystem_names() noexcept { return kSubsystems; }

std::span<const Setting> settings() noexcept { return kSettings; }

const Setting* find_setting(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(kSettings), std::end(kSettings),
                                   [&](const Setting& setting) { return setting.name == name; });
  return found == std::end(kSettings) ? nullptr : found;
}

}  // namespace hansa
