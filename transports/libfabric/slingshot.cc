#include "transports/libfabric/slingshot.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <net/if.h>
#include <rdma/fabric.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/config.hpp"
#include "base/log.hpp"
#include "base/slingshot_settings.hpp"

namespace hansa::libfabric {
namespace {

// Overflow and request buffers of one endpoint (12 of 12 MiB at the provider's defaults), its queues, and
// room.
constexpr std::uint64_t kLocked = std::uint64_t{256} << 20;

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), closedir);
  while (const dirent* const entry = open ? readdir(open.get()) : nullptr)
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

bool begins(const std::string& file, std::string_view text) {
  char line[64] = {};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> open(std::fopen(file.c_str(), "re"), std::fclose);
  return open && std::fgets(line, sizeof line, open.get()) != nullptr &&
         std::string_view(line).starts_with(text);
}

std::string_view value_of(const Lookup& environment, const char* name) {
  const char* const value = environment(name);
  return value == nullptr ? std::string_view() : value;
}

bool locks_freely() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capget, &header, sets) == 0 &&
         (sets[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

std::vector<Held> hold(const Lookup& environment) {
  std::vector<Held> held;
  std::vector<Assignment> additions;
  for (const SlingshotSetting& one : slingshot_settings()) {
    const char* const user = environment(one.name);
    held.push_back({one.name, user == nullptr ? one.value : user, user != nullptr});
    additions.push_back({one.name, one.value});
  }
  supplement_environment(additions);
  return held;
}

std::string line_about(std::uint32_t version) {
  const Lookup environment = process_environment();
  std::string text = fmt::format("libfabric {}.{}, provider cxi:", FI_MAJOR(version), FI_MINOR(version));
  for (const Held& one : adopt_slingshot_settings())
    text += fmt::format(" {}={} ({}),", one.name, one.value, one.user ? "user" : "Hansa");
  const std::string_view network = value_of(environment, "SLINGSHOT_VNIS");
  return text + (network.empty() ? " no virtual network of a launcher"
                                 : fmt::format(" SLINGSHOT_VNIS={} (launcher)", network));
}

void say_of_cxi(std::uint32_t version) {
  HANSA_INFO_ON(kNet, "{}", line_about(version));
  const Lookup environment = process_environment();
  if (environment("SLINGSHOT_VNIS") != nullptr)
    if (const std::string complaint = network_complaint(environment); !complaint.empty())
      HANSA_WARN("provider cxi: {}", complaint);
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (const std::string complaint = memlock_complaint(limit.rlim_cur, locks_freely()); !complaint.empty())
    HANSA_WARN("provider cxi: {}", complaint);
}

}  // namespace

FastNics find_fast_nics(const std::string& sysfs, std::span<const std::string> interfaces) {
  FastNics nics;
  for (const std::string& name : interfaces)
    if (name.starts_with("hsn")) nics.slingshot.push_back("interface " + name);
  for (const std::string& name : names_in(sysfs + "/class/cxi")) nics.slingshot.push_back("device " + name);
  for (const std::string& name : names_in(sysfs + "/class/infiniband")) {
    const std::string ports = fmt::format("{}/class/infiniband/{}/ports", sysfs, name);
    const auto numbers = names_in(ports);
    if (std::any_of(numbers.begin(), numbers.end(), [&](const std::string& port) {
          return begins(fmt::format("{}/{}/state", ports, port), "4: ACTIVE") &&
                 begins(fmt::format("{}/{}/link_layer", ports, port), "InfiniBand");
        }))
      nics.infiniband.push_back("device " + name);
  }
  return nics;
}

FastNics fast_nics() {
  std::vector<std::string> interfaces;
  struct if_nameindex* const list = if_nameindex();
  for (auto* entry = list; entry != nullptr && entry->if_index != 0; ++entry)
    interfaces.emplace_back(entry->if_name);
  if (list != nullptr) if_freenameindex(list);
  return find_fast_nics("/sys", interfaces);
}

bool is_slingshot(const FastNics& nics, const Lookup& environment) {
  return !nics.slingshot.empty() || environment("SLINGSHOT_VNIS") != nullptr ||
         environment("SLINGSHOT_DEVICES") != nullptr ||
         value_of(environment, "FI_PROVIDER").find("cxi") != std::string_view::npos;
}

const std::vector<Held>& adopt_slingshot_settings() {
  static const std::vector<Held> held =
      is_slingshot(fast_nics(), process_environment()) ? hold(process_environment()) : std::vector<Held>();
  return held;
}

std::string network_complaint(const Lookup& environment) {
  constexpr const char* kNames[] = {"SLINGSHOT_VNIS", "SLINGSHOT_SVC_IDS", "SLINGSHOT_DEVICES",
                                    "SLINGSHOT_TCS"};
  std::vector<std::string_view> missing;
  for (const char* const name : kNames)
    if (value_of(environment, name).empty()) missing.emplace_back(name);
  if (missing.size() == std::size(kNames))
    return "the launcher has given this process no virtual network (SLINGSHOT_VNIS is not set): start it as "
           "a step of "
           "the job (srun, under Slurm's switch/hpe_slingshot; on one host with srun "
           "--network=single_node_vni), or "
           "have cxi's default service enabled";
  if (missing.empty()) return {};
  return fmt::format(
      "the launcher's variables are incomplete ({} not set): hand all SLINGSHOT_* on to the ranks; "
      "containers, ssh and sudo drop them",
      fmt::join(missing, ", "));
}

std::string memlock_complaint(std::uint64_t limit, bool privileged) {
  if (privileged || limit == RLIM_INFINITY || limit >= kLocked) return {};
  return fmt::format(
      "RLIMIT_MEMLOCK is {} KiB, and the provider locks about {} MiB of buffers: ulimit -l unlimited, "
      "before the job starts (Slurm: PropagateResourceLimitsExcept=MEMLOCK)",
      limit >> 10, kLocked >> 20);
}

Judgement judge(const FastNics& nics, const Candidate& candidate, const Lookup& environment) {
  using Gravity = Judgement::Gravity;
  const bool on_slingshot = !nics.slingshot.empty(), on_infiniband = !nics.infiniband.empty();
  const bool fast = candidate.provider.starts_with("cxi") || candidate.provider.starts_with("verbs");
  if (fast || (!on_slingshot && !on_infiniband)) return {};
  const std::string what = fmt::format(
      "this host has {} ({}), but libfabric's provider is {}", on_slingshot ? "Slingshot" : "InfiniBand",
      fmt::join(on_slingshot ? nics.slingshot : nics.infiniband, ", "), candidate.provider);
  const std::string_view asked = value_of(environment, "FI_PROVIDER");
  const bool meant = !asked.empty() && asked[0] != '^' && asked.find("cxi") == asked.npos &&
                     asked.find("verbs") == asked.npos;
  if (candidate.chosen || meant)
    return {Gravity::kTold, fmt::format("{}, as FI_PROVIDER={} says", what, asked)};
  if (!on_slingshot)
    return {Gravity::kWarned, what +
                                  ", many times slower: FI_PROVIDER=verbs tries libfabric's way to it, "
                                  "FI_PROVIDER=tcp says that TCP is "
                                  "meant"};
  std::string remedy =
      "load a libfabric that has cxi (HPE's, before others in LD_LIBRARY_PATH; fi_info -p cxi "
      "shows it), or set FI_PROVIDER=tcp if TCP is meant";
  if (const std::string complaint = network_complaint(environment); !complaint.empty())
    remedy += "; " + complaint;
  if (candidate.transports.find("libfabric") != std::string_view::npos)
    return {Gravity::kWarned,
            fmt::format("{}, many times slower, and HANSA_TRANSPORT={} leaves it at that: {}", what,
                        candidate.transports, remedy)};
  return {Gravity::kRefused, fmt::format("{}, which would be many times slower: {}", what, remedy)};
}

Status account_for(std::string_view provider, bool chosen, std::uint32_t version) {
  if (provider == "cxi") {
    [[maybe_unused]] static const bool said = (say_of_cxi(version), true);
    return {};
  }
  const Judgement judgement =
      judge(fast_nics(), {provider, chosen, config().transport}, process_environment());
  if (judgement.gravity == Judgement::Gravity::kRefused) return Status(Code::kSystem, judgement.text);
  if (judgement.gravity == Judgement::Gravity::kFine) return {};
  [[maybe_unused]] static const bool said = [&judgement] {
    if (judgement.gravity == Judgement::Gravity::kWarned)
      HANSA_WARN("{}", judgement.text);
    else
      HANSA_INFO_ON(kNet, "{}", judgement.text);
    return true;
  }();
  return {};
}

Status explained(Status failure, std::string_view provider) {
  if (provider != "cxi") return failure;
  const std::string complaint = network_complaint(process_environment());
  return complaint.empty() ? failure
                           : Status(failure.code(), fmt::format("{}; {}", failure.message(), complaint));
}

}  // namespace hansa::libfabric
