// Every setting the library has: once, in one table; read once, from files and the environment.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hpp"
#include "base/fault_point.hpp"
#include "hansa/transport.hpp"

namespace hansa {

enum class LogLevel : std::uint8_t { kNone, kVersion, kWarn, kInfo, kTrace };

// NCCL's names for what a line is about, in the order of subsystem_names().
enum class Subsystem : std::uint8_t {
  kInit,
  kColl,
  kP2p,
  kShm,
  kNet,
  kGraph,
  kTuning,
  kEnv,
  kAlloc,
  kAllocHost,
  kCall,
  kProxy,
  kNvls,
  kBootstrap,
  kReg,
  kProfile,
  kRas,
  kDestroy
};
std::span<const std::string_view> subsystem_names() noexcept;

struct PortRange {
  std::uint16_t first = 0, last = 0;  // inclusive; both 0: the kernel chooses
};

// What the user set, parsed; defaults elsewhere. Names of transports, algorithms and interfaces are checked
// by who knows them, with an error that lists what exists. Times are in seconds; 0 means never.
struct Config {
  LogLevel debug = LogLevel::kWarn;
  std::uint32_t subsystems = ~std::uint32_t{0};  // bit i: lines of Subsystem i are wanted
  std::string debug_file;                        // absolute, with %h and %p; empty: stderr
  std::string transport;
  std::string algorithm;
  std::string interface;
  int address_family = 0;  // 4, 6, or 0: either
  PortRange port_range;
  double init_timeout = 60;
  double late_report = 10;
  double timeout = 0;
  std::string topology;
  std::string dump;  // absolute; empty: nothing is written
  bool checksum = false;
  Copier copier = Copier::kFaster;
  Fault fault;  // none
  std::string host_id;
  std::string comm_id;                // where all ranks meet, as the user wrote it; empty: each id says
  std::string secret;                 // a word, or @ and a file; never shown
  std::optional<bool> comm_blocking;  // what every communicator is, whatever its config says
  int nccl_version = 22707;           // that ncclGetVersion reports

  // `init_timeout` as a time to wait: decades instead of never.
  std::chrono::milliseconds init_patience() const;
};

// A row of the table behind Config.
struct Setting {
  enum class Trait : std::uint8_t {
    kNone,
    kHidden,   // its value is shown to nobody
    kTesting,  // of no use but to tests
  };
  // False: the value is bad, `into` is unchanged. A `remark` says what of a value that was taken has no
  // effect.
  using Parse = bool (*)(std::string_view text, Config& into, std::string& remark);

  const char* name;
  const char* standard;  // the default, as a user would write it; empty: unset
  const char* accepts;   // completes "must be ..."
  const char* help;      // one line
  Parse parse;
  Trait trait = Trait::kNone;
  const char* ours = "";  // of a foreign row: our name for the same, which wins over it

  bool foreign() const { return std::string_view(name).starts_with("NCCL_"); }
};

// Foreign rows stand before our own, so that ours win where both are set in one place.
std::span<const Setting> settings() noexcept;
const Setting* find_setting(std::string_view name) noexcept;  // null where there is none

// A value from outside, and where it stands: "environment" or "/etc/nccl.conf:3".
struct Variable {
  std::string name, value, origin;
};
using Layer = std::vector<Variable>;  // each name at most once

// What became of a Variable.
struct Finding {
  enum class Fate : std::uint8_t { kTaken, kOverruled, kRefused, kIgnored };
  Variable variable;  // the value of a hidden setting is left out
  Fate fate = Fate::kTaken;
  std::string why;  // empty where it was taken as it stands
};

// A configuration, and all there is to tell about how it came to be.
struct Reading {
  Config config;
  std::vector<Variable> values;   // by row of settings(): what holds; origin "default" where nothing set it
  std::vector<Finding> findings;  // every Variable of every layer
  std::vector<std::string> complaints;  // a line with cause and remedy for each thing that is wrong
};

// Layers in rising precedence. A bad value counts as unset, with a complaint. An empty value hides those of
// the same name in layers below it. Pure.
Reading read_config(std::span<const Layer> layers);

// The layers of a process: `system_file`, then the file that NCCL_CONF_FILE of `environment` names or else
// .nccl.conf in `home`, then `environment`. Files that others could have written are left out with a
// complaint.
std::vector<Layer> layers_of(const Layer& environment, const std::string& system_file,
                             const std::string& home, std::vector<std::string>& complaints);

// The process's own: read at the first call, from any thread, and constant from then on. Complaints go to
// stderr.
const Reading& reading();
inline const Config& config() { return reading().config; }

}  // namespace hansa
