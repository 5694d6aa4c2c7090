#include "capi/wishes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <string_view>

#include "base/log.hpp"

namespace hansa {
namespace {

constexpr unsigned kMagic = 0xcafebeef;

// ncclConfig_t as of 2.32, the longest; nccl.h may show a shorter one.
struct Layout {
  std::size_t size;
  unsigned magic, version;
  int blocking, cga_cluster_size, min_ctas, max_ctas;
  const char* net_name;
  int split_share, traffic_class;
  const char* comm_name;
  int collnet_enable, cta_policy, shrink_share, nvls_ctas;
  int channels_per_net_peer, nvlink_centric_sched, graph_usage_mode, rma_contexts;
  int max_p2p_peers, graph_stream_ordering, launch_order_implicit, rma_signals;
  int rma_eager_init, host_cft_mode, nvls_host_mode;
};
static_assert(sizeof(Layout) == 120 && offsetof(Layout, net_name) == 32 &&
              offsetof(Layout, comm_name) == 48 && offsetof(Layout, nvls_ctas) == 68 &&
              offsetof(Layout, max_p2p_peers) == 88 && offsetof(Layout, nvls_host_mode) == 112);

// A number: since when it is there, and what it may be.
struct Field {
  const char* name;
  int Layout::*value;
  unsigned since;
  int least, most;
};
constexpr Field kFields[] = {
    {"blocking", &Layout::blocking, 21400, 0, 1},
    {"cgaClusterSize", &Layout::cga_cluster_size, 21700, 0, 8},
    {"minCTAs", &Layout::min_ctas, 21700, 1, INT_MAX},
    {"maxCTAs", &Layout::max_ctas, 21700, 1, INT_MAX},
    {"splitShare", &Layout::split_share, 21800, 0, 1},
    {"trafficClass", &Layout::traffic_class, 22600, 0, INT_MAX},
    {"collnetEnable", &Layout::collnet_enable, 22700, 0, 1},
    {"CTAPolicy", &Layout::cta_policy, 22700, 0, 3},
    {"shrinkShare", &Layout::shrink_share, 22700, 0, 1},
    {"nvlsCTAs", &Layout::nvls_ctas, 22700, 1, INT_MAX},
    {"nChannelsPerNetPeer", &Layout::channels_per_net_peer, 22800, 1, INT_MAX},
    {"nvlinkCentricSched", &Layout::nvlink_centric_sched, 22800, 0, 1},
    {"graphUsageMode", &Layout::graph_usage_mode, 22900, 0, 2},
    {"numRmaCtx", &Layout::rma_contexts, 22900, 1, INT_MAX},
    {"maxP2pPeers", &Layout::max_p2p_peers, 23000, 1, INT_MAX},
    {"graphStreamOrdering", &Layout::graph_stream_ordering, 23005, 0, 1},
    {"launchOrderImplicit", &Layout::launch_order_implicit, 23100, 0, 1},
    {"numRmaSig", &Layout::rma_signals, 23100, 1, INT_MAX},
    {"rmaEagerInit", &Layout::rma_eager_init, 23100, 0, 1},
    {"hostCftMode", &Layout::host_cft_mode, 23100, 1, 3},
    {"nvlsHostMode", &Layout::nvls_host_mode, 23200, 0, INT_MAX},
};

// The bytes of a caller's structure that it says are there, over defaults.
template <class T>
Status copy(const void* from, T& into, const char* initializer) {
  T head;
  std::memcpy(&head, from, offsetof(T, magic) + 2 * sizeof(unsigned));
  if (head.magic != kMagic || head.size < offsetof(T, magic) + 2 * sizeof(unsigned))
    return Status(Code::kInvalidArgument, fmt::format("the config was not made by {}", initializer));
  std::memcpy(static_cast<void*>(&into), from, std::min(head.size, sizeof into));
  return {};
}

// The name of ours for a network that programs name as NVIDIA's library or its plugins call it.
Result<std::string> network_of(const char* name) {
  constexpr std::string_view kSame[] = {"libfabric", "ofi", "AWS Libfabric", "Libfabric", "Socket", "IB"};
  if (*name == '\0') return std::string();
  if (std::find(std::begin(kSame), std::end(kSame), name) != std::end(kSame)) return std::string("libfabric");
  return Status(Code::kInvalidUsage,
                fmt::format("config.netName is \"{}\": no such network; leave it unset, or set it to "
                            "libfabric",
                            name));
}

}  // namespace

Result<Wishes> read_wishes(const ncclConfig_t* config, const Wishes& inherited) {
  Wishes wishes = inherited;
  if (config == nullptr) return wishes;
  Layout layout{};
  for (const Field& field : kFields) layout.*field.value = NCCL_CONFIG_UNDEF_INT;
  HANSA_RETURN_IF_ERROR(copy(config, layout, "NCCL_CONFIG_INITIALIZER"));
  for (const Field& field : kFields) {
    int& value = layout.*field.value;
    if (layout.version < field.since) value = NCCL_CONFIG_UNDEF_INT;
    if (value == NCCL_CONFIG_UNDEF_INT || (value >= field.least && value <= field.most)) continue;
    return Status(Code::kInvalidArgument,
                  fmt::format("config.{} is {}: must be {}", field.name, value,
                              field.most == INT_MAX ? fmt::format("at least {}", field.least)
                                                    : fmt::format("in {}..{}", field.least, field.most)));
  }
  if (layout.min_ctas != NCCL_CONFIG_UNDEF_INT && layout.max_ctas != NCCL_CONFIG_UNDEF_INT &&
      layout.min_ctas > layout.max_ctas)
    return Status(Code::kInvalidArgument, fmt::format("config.minCTAs is {}, more than maxCTAs, {}",
                                                      layout.min_ctas, layout.max_ctas));
  if (layout.blocking != NCCL_CONFIG_UNDEF_INT) wishes.blocking = layout.blocking == 1;
  if (layout.version >= 21700 && layout.net_name != nullptr) {
    HANSA_ASSIGN_OR_RETURN(wishes.network, network_of(layout.net_name));
  }
  if (layout.version >= 22700 && layout.comm_name != nullptr) wishes.name = layout.comm_name;
  return wishes;
}

Status check_wishes(const ncclCollConfig_t* config) {
  if (config == nullptr) return {};
  ncclCollConfig_t copied = NCCL_COLLCONFIG_INITIALIZER;
  HANSA_RETURN_IF_ERROR(copy(config, copied, "NCCL_COLLCONFIG_INITIALIZER"));
  if (copied.algSelection != nullptr && *copied.algSelection != '\0') {
    if (copied.forceAlgSelection != 0)
      return Status(Code::kInvalidUsage,
                    fmt::format("algSelection is \"{}\": an algorithm cannot be forced for one call; set "
                                "forceAlgSelection = 0, or HANSA_ALGORITHM for all calls",
                                copied.algSelection));
    HANSA_INFO("algSelection \"{}\" is a wish that is not heeded: set HANSA_ALGORITHM", copied.algSelection);
  }
  return {};
}

}  // namespace hansa
