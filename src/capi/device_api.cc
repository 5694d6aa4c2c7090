// The host functions of NCCL's device header (nccl_device.h), which programs that were built with it look
// for. Without device code of ours there is nothing behind most of them: they refuse, or tell that every rank
// stands alone.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

// ncclTeam_t: which ranks belong together.
struct Team {
  int ranks, rank, stride;
};
static_assert(sizeof(Team) == 12);

// ncclMultimemHandle_t.
struct MultimemHandle {
  void* base;
};

// ncclCommProperties_t as of 2.32.
struct Properties {
  std::size_t size;
  unsigned magic, version;
  int rank, ranks, cuda_device, nvml_device;
  bool device_api, multimem;
  int gin_type, lsa_teams;
  bool host_rma;
  int railed_gin_type;
  std::uint64_t hash;
  int gin_least_stride, gin_connection;
  bool gin_support[64];
  std::size_t device_communicator_bytes;
  bool cft, cft_multicast, cft_counted;
};
static_assert(offsetof(Properties, hash) == 56 && offsetof(Properties, device_communicator_bytes) == 136);

constexpr unsigned kMagic = 0xcafebeef;

ncclResult_t refuse(const char* name) {
  return guarded([&] {
    return report(
        Status(Code::kUnsupported,
               fmt::format("{} is refused: Hansa has no device code; use the calls of nccl.h", name)));
  });
}

Team world_of(ncclComm_t comm) {
  const auto found = known(comm);
  return found.ok() ? Team{found.value()->ranks(), found.value()->rank(), 1} : Team{0, 0, 0};
}

constexpr Team kAlone{1, 0, 1};

}  // namespace

#define REFUSED(name, ...)                                                                  \
  extern "C" __attribute__((visibility("default"))) ncclResult_t pnccl##name(__VA_ARGS__) { \
    return refuse("nccl" #name);                                                            \
  }                                                                                         \
  TWIN(name)
#define ANSWERED(type, name, ...)                                                  \
  extern "C" __attribute__((visibility("default"))) type pnccl##name(__VA_ARGS__); \
  TWIN(name);                                                                      \
  type pnccl##name(__VA_ARGS__)

ANSWERED(ncclResult_t, CommQueryProperties, ncclComm_t comm, void* properties) {
  if (properties == nullptr) return report(null_argument("properties"));
  const auto found = known(comm);
  if (!found.ok()) return report(found.status());
  Properties answer{};
  std::memcpy(&answer, properties, offsetof(Properties, rank));
  if (answer.magic != kMagic || answer.size < offsetof(Properties, rank))
    return report(
        Status(Code::kInvalidArgument, "the properties were not made by NCCL_COMM_PROPERTIES_INITIALIZER"));
  answer.rank = found.value()->rank();
  answer.ranks = found.value()->ranks();
  answer.cuda_device = found.value()->device();
  answer.nvml_device = -1;
  answer.lsa_teams = answer.ranks;
  answer.host_rma = true;
  answer.hash = found.value()->number();
  std::memcpy(properties, &answer, std::min(answer.size, sizeof answer));
  return ncclSuccess;
}

REFUSED(DevCommCreate, ncclComm_t, const void*, void*);
REFUSED(DevCommDestroy, ncclComm_t, const void*);

REFUSED(GetLsaMultimemDevicePointer, ncclWindow_t, std::size_t, void**);
REFUSED(GetMultimemDevicePointer, ncclWindow_t, std::size_t, MultimemHandle, void**);
REFUSED(GetLsaDevicePointer, ncclWindow_t, std::size_t, int, void**);
REFUSED(GetPeerDevicePointer, ncclWindow_t, std::size_t, int, void**);
REFUSED(GetMultimemDeviceLeInfo, ncclWindow_t, std::size_t, void*, std::size_t*);
REFUSED(GetCftDeviceLeInfo, ncclWindow_t, std::size_t, int, Team, void*, std::size_t*);
REFUSED(GetPeerDeviceLeInfo, ncclWindow_t, std::size_t, int, void*, std::size_t*);

REFUSED(LsaBarrierCreateRequirement, Team, int, void*, void*);
REFUSED(GinBarrierCreateRequirement, ncclComm_t, Team, int, void*, void*);
REFUSED(GinOutboxCreateRequirement, int, int, void*, void*);
REFUSED(GinInboxA2ACreateRequirement, Team, int, int, void*, void*);
REFUSED(LLA2ACreateRequirement, int, int, void*, void*);
ANSWERED(int, LLA2ACalcSlots, int, int) { return 0; }

// Load and store reach nobody else's device: every rank is its own team there, and the only one of its rail.
ANSWERED(Team, TeamWorld, ncclComm_t comm) { return world_of(comm); }
ANSWERED(Team, TeamRail, ncclComm_t comm) { return world_of(comm); }
ANSWERED(Team, TeamLsa, ncclComm_t) { return kAlone; }
ANSWERED(Team, TeamCft, ncclComm_t, int) { return kAlone; }
ANSWERED(Team, TeamCftMultimem, ncclComm_t) { return kAlone; }
ANSWERED(int, TeamRankToWorld, ncclComm_t comm, Team team, int rank) {
  return world_of(comm).rank + (rank - team.rank) * team.stride;
}
ANSWERED(int, TeamRankToLsa, ncclComm_t, Team team, int rank) { return (rank - team.rank) * team.stride; }
