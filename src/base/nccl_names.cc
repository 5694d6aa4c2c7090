#include "base/nccl_names.hpp"

#include <algorithm>

namespace hansa {
namespace {

constexpr const char* kCuda = "about CUDA kernels, streams or graphs, which this library does not launch";
constexpr const char* kGpu = "about GPU memory and links, which this library does not drive";
constexpr const char* kIb = "of NCCL's InfiniBand transport; libfabric has settings of its own (FI_*)";
constexpr const char* kSock = "of NCCL's socket transport; libfabric has settings of its own (FI_*)";
constexpr const char* kBoot = "of NCCL's bootstrap; here HANSA_INIT_TIMEOUT bounds it";
constexpr const char* kPlug = "NCCL's plugins are not loaded";
constexpr const char* kNic = "of NCCL's choice of network cards";
constexpr const char* kTopo = "of NCCL's topology search";
constexpr const char* kSelf = "the library chooses by itself";
constexpr const char* kNvl = "about NVLink and its switches, which this library does not drive";
constexpr const char* kRas = "there is no RAS service; late and dead ranks are named by themselves";
constexpr const char* kCheck = "arguments are always checked";
constexpr const char* kReg = "registration needs no switch";
constexpr const char* kStamp = "lines carry no time";
constexpr const char* kCollnet = "NCCL's CollNet plugins are not loaded";
constexpr const char* kOrder = "operations of several communicators never block one another";

constexpr IgnoredName kKnownNames[] = {
    {"NCCL_ALLOC_P2P_NET_LL_BUFFERS", kSelf},
    {"NCCL_BUFFSIZE", kSelf},
    {"NCCL_CGA_CLUSTER_SIZE", kCuda},
    {"NCCL_CHECKS_DISABLE", kCheck},
    {"NCCL_CHECK_MODE", kCheck},
    {"NCCL_CHECK_POINTERS", kCheck},
    {"NCCL_COLLNET_ENABLE", kCollnet},
    {"NCCL_COLLNET_NODE_THRESHOLD", kCollnet},
    {"NCCL_CROSS_NIC", kNic},
    {"NCCL_CTA_POLICY", kCuda},
    {"NCCL_CUMEM_ENABLE", kGpu},
    {"NCCL_CUMEM_HOST_ENABLE", kGpu},
    {"NCCL_DEBUG_LEVELS", "NCCL_DEBUG alone says how much"},
    {"NCCL_DEBUG_TIMESTAMP_FORMAT", kStamp},
    {"NCCL_DEBUG_TIMESTAMP_LEVELS", kStamp},
    {"NCCL_DMABUF_ENABLE", kGpu},
    {"NCCL_ENV_PLUGIN", kPlug},
    {"NCCL_GDRCOPY_ENABLE", kGpu},
    {"NCCL_GDRCOPY_FIFO_ENABLE", kGpu},
    {"NCCL_GDRCOPY_FLUSH_ENABLE", kGpu},
    {"NCCL_GDRCOPY_SYNC_ENABLE", kGpu},
    {"NCCL_GIN_PLUGIN", kPlug},
    {"NCCL_GRAPH_DUMP_FILE", kTopo},
    {"NCCL_GRAPH_FILE", kTopo},
    {"NCCL_GRAPH_MIXING_SUPPORT", kCuda},
    {"NCCL_GRAPH_REGISTER", kCuda},
    {"NCCL_GRAPH_STREAM_ORDERING", kCuda},
    {"NCCL_IB_ADAPTIVE_ROUTING", kIb},
    {"NCCL_IB_ADDR_FAMILY", kIb},
    {"NCCL_IB_ADDR_RANGE", kIb},
    {"NCCL_IB_AR_THRESHOLD", kIb},
    {"NCCL_IB_CUDA_SUPPORT", kGpu},
    {"NCCL_IB_DISABLE", "HANSA_TRANSPORT says which transports to use"},
    {"NCCL_IB_ECE_ENABLE", kIb},
    {"NCCL_IB_EVENT_BASED_LB", kIb},
    {"NCCL_IB_FIFO_TC", kIb},
    {"NCCL_IB_GDR_LEVEL", kGpu},
    {"NCCL_IB_GID_INDEX", kIb},
    {"NCCL_IB_HCA", kIb},
    {"NCCL_IB_MERGE_NICS", kIb},
    {"NCCL_IB_OOO_RQ", kIb},
    {"NCCL_IB_PCI_RELAXED_ORDERING", kIb},
    {"NCCL_IB_PKEY", kIb},
    {"NCCL_IB_PKEY_VALUE", kIb},
    {"NCCL_IB_QPS_PER_CONNECTION", kIb},
    {"NCCL_IB_RAIL_POLICY", kIb},
    {"NCCL_IB_RETRY_CNT", kIb},
    {"NCCL_IB_RETURN_ASYNC_EVENTS", kIb},
    {"NCCL_IB_ROCE_VERSION_NUM", kIb},
    {"NCCL_IB_SL", kIb},
    {"NCCL_IB_SPLIT_DATA_ON_QPS", kIb},
    {"NCCL_IB_TC", kIb},
    {"NCCL_IB_TIMEOUT", kIb},
    {"NCCL_IGNORE_COLLNET_MISMATCH", kCollnet},
    {"NCCL_IGNORE_CPU_AFFINITY", "no thread is ever bound to other cores than the program has"},
    {"NCCL_IGNORE_NET_MISMATCH", kNic},
    {"NCCL_IPC_USE_ABSTRACT_SOCKET", "shared memory is always passed over abstract sockets"},
    {"NCCL_LAUNCH_MODE", kCuda},
    {"NCCL_LAUNCH_ORDER_IMPLICIT", kOrder},
    {"NCCL_LAUNCH_RACE_FATAL", kOrder},
    {"NCCL_LEGACY_CUDA_REGISTER", kGpu},
    {"NCCL_LL_THRESHOLD", kSelf},
    {"NCCL_LOCAL_REGISTER", kReg},
    {"NCCL_MAX_CTAS", kCuda},
    {"NCCL_MAX_NCHANNELS", kCuda},
    {"NCCL_MAX_NRINGS", kCuda},
    {"NCCL_MEM_SYNC_DOMAIN", kCuda},
    {"NCCL_MIN_CTAS", kCuda},
    {"NCCL_MIN_NCHANNELS", kCuda},
    {"NCCL_MIN_NRINGS", kCuda},
    {"NCCL_MNNVL_CLIQUE_ID", kNvl},
    {"NCCL_MNNVL_ENABLE", kNvl},
    {"NCCL_MNNVL_UUID", kNvl},
    {"NCCL_MULTI_RANK_GPU_ENABLE", "any number of ranks may share a device"},
    {"NCCL_NCHANNELS_PER_NET_PEER", kNic},
    {"NCCL_NET", "HANSA_TRANSPORT says which transports to use"},
    {"NCCL_NETDEVS_POLICY", kNic},
    {"NCCL_NET_GDR_C2C", kGpu},
    {"NCCL_NET_GDR_LEVEL", kGpu},
    {"NCCL_NET_GDR_READ", kGpu},
    {"NCCL_NET_MERGE_LEVEL", kNic},
    {"NCCL_NET_MERGE_POLICY", kNic},
    {"NCCL_NET_PLUGIN", kPlug},
    {"NCCL_NET_SHARED_BUFFERS", kSelf},
    {"NCCL_NET_SHARED_COMMS", kSelf},
    {"NCCL_NO_CACHE", "settings are read once"},
    {"NCCL_NSOCKS_PERTHREAD", kSock},
    {"NCCL_NTHREADS", kCuda},
    {"NCCL_NVB_DISABLE", kNvl},
    {"NCCL_NVLS_ENABLE", kNvl},
    {"NCCL_OOB_NET_ENABLE", kBoot},
    {"NCCL_OOB_NET_IFNAME", "ranks meet over TCP, on HANSA_INTERFACE"},
    {"NCCL_P2P_DIRECT_DISABLE", kGpu},
    {"NCCL_P2P_DISABLE", kGpu},
    {"NCCL_P2P_LEVEL", kGpu},
    {"NCCL_P2P_LL_THRESHOLD", kSelf},
    {"NCCL_P2P_NET_CHUNKSIZE", kSelf},
    {"NCCL_P2P_PXN_LEVEL", kNvl},
    {"NCCL_PROFILER_PLUGIN", kPlug},
    {"NCCL_PROTO", kSelf},
    {"NCCL_PSK", "connections are authenticated by the secret of the unique id, but nothing is encrypted",
     true},
    {"NCCL_PXN_C2C", kNvl},
    {"NCCL_PXN_DISABLE", kNvl},
    {"NCCL_RAS_ADDR", kRas},
    {"NCCL_RAS_ENABLE", kRas},
    {"NCCL_RAS_TIMEOUT_FACTOR", kRas},
    {"NCCL_RMA_EAGER_INIT", kReg},
    {"NCCL_RMA_PLUGIN", kPlug},
    {"NCCL_RUNTIME_CONNECT", kSelf},
    {"NCCL_SET_STACK_SIZE", kCuda},
    {"NCCL_SET_THREAD_NAME", "threads keep the names they have"},
    {"NCCL_SHM_DISABLE", "HANSA_TRANSPORT=libfabric leaves shared memory out"},
    {"NCCL_SINGLE_RING_THRESHOLD", kSelf},
    {"NCCL_SOCKET_MAGIC", kSock},
    {"NCCL_SOCKET_NTHREADS", kSock},
    {"NCCL_SOCKET_POLL_TIMEOUT_MSEC", kBoot},
    {"NCCL_SOCKET_RETRY_CNT", kBoot},
    {"NCCL_SOCKET_RETRY_SLEEP_MSEC", kBoot},
    {"NCCL_SYM_GIN_KERNELS_ENABLE", kCuda},
    {"NCCL_TOPO_DUMP_FILE", kTopo},
    {"NCCL_TOPO_FILE", kTopo},
    {"NCCL_TREE_THRESHOLD", kSelf},
    {"NCCL_TUNER_PLUGIN", kPlug},
    {"NCCL_UID_STAGGER_RATE", kBoot},
    {"NCCL_UID_STAGGER_THRESHOLD", kBoot},
    {"NCCL_VERSION",
     "container images say with it what they hold; HANSA_NCCL_VERSION is what ncclGetVersion reports"},
    {"NCCL_WARN_ENABLE_DEBUG_INFO", "NCCL_DEBUG alone says how much"},
    {"NCCL_WIN_ENABLE", kReg},
};

}  // namespace

std::span<const IgnoredName> ignored_nccl_names() noexcept { return kKnownNames; }

const IgnoredName* find_ignored(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(kKnownNames), std::end(kKnownNames),
                                   [&](const IgnoredName& one) { return one.name == name; });
  return found == std::end(kKnownNames) ? nullptr : found;
}

}  // namespace hansa
