// What a host with a fast network demands besides libfabric's interface: Slingshot's settings, the virtual
// network that a launcher gives, limits, and that nobody ends up on TCP unawares. The rules are
// docs/decisions/018's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hpp"
#include "hansa/status.hpp"

namespace hansa::libfabric {

// The network cards of this host by which a fast network is told; as people name them.
struct FastNics {
  std::vector<std::string> slingshot;  // "interface hsn0", "device cxi0"
  std::vector<std::string>
      infiniband;  // "device mlx5_0", with an active port of InfiniBand (RoCE may be anything)
};
// From the folder that is /sys and the names of all interfaces.
FastNics find_fast_nics(const std::string& sysfs, std::span<const std::string> interfaces);
FastNics fast_nics();

// A variable of slingshot_settings() and what holds. `user`: it was set before.
struct Held {
  std::string name, value;
  bool user = false;
};
// Whether this process is to have Slingshot's settings; then sets what is not set. The first call acts, and
// before the library is loaded; the others return what it did. Empty elsewhere.
const std::vector<Held>& adopt_slingshot_settings();
bool is_slingshot(const FastNics& nics, const Lookup& environment);

// What is wrong with the virtual network that the launcher should have given, and what to do; empty if
// nothing is.
std::string network_complaint(const Lookup& environment);
// The same of RLIMIT_MEMLOCK in bytes, for a provider that locks its buffers.
std::string memlock_complaint(std::uint64_t limit, bool privileged);

// Whether a provider will do on a host with these cards.
struct Judgement {
  enum class Gravity { kFine, kTold, kWarned, kRefused };
  Gravity gravity = Gravity::kFine;
  std::string text;
};
struct Candidate {
  std::string_view provider;         // as libfabric calls it
  bool chosen = false;               // by the caller's name for it
  std::string_view transports = {};  // HANSA_TRANSPORT
};
Judgement judge(const FastNics& nics, const Candidate& candidate, const Lookup& environment);

// To be called with what was chosen for other hosts: says what there is to say about it, once a process.
// Fails where judge() refuses.
Status account_for(std::string_view provider, bool chosen, std::uint32_t version);
// A failure to open a provider, with what may have caused it.
Status explained(Status failure, std::string_view provider);

}  // namespace hansa::libfabric
