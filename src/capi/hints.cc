// What is only a hint here, and what is refused: see docs/nccl.md.
#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "capi/births.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

Status refusal(const char* name, const char* why) {
  return Status(Code::kUnsupported, fmt::format("{} is refused: {}", name, why));
}

ncclResult_t refuse(ncclComm_t comm, const char* name, const char* why) {
  return guarded([&] {
    const auto communicator = known(comm);
    return report(communicator.ok() ? refusal(name, why) : communicator.status());
  });
}

constexpr const char* kNothingToSuspend = "in host mode a communicator has no device memory to give back";

}  // namespace

ncclResult_t pncclCommInitRankScalable(ncclComm_t* newcomm, int nranks, int myrank, int nId,
                                       ncclUniqueId* commIds, ncclConfig_t* config) {
  if (newcomm == nullptr) return report_in_group(null_argument("newcomm"));
  *newcomm = nullptr;
  if (commIds == nullptr) return report_in_group(null_argument("commIds"));
  if (nId < 1 || nId > nranks)
    return report_in_group(
        Status(Code::kInvalidArgument, fmt::format("nId is {}: must be in 1..nranks", nId)));
  for (int i = 1; i < nId; ++i) {
    UniqueId spare;
    std::memcpy(spare.data(), commIds[i].internal, spare.size());
    discard_unique_id(spare);
  }
  // Leaders of hosts, not ranks, come to the root, and then make a tree: one serves all.
  return pncclCommInitRankConfig(newcomm, nranks, commIds[0], myrank, config);
}
TWIN(CommInitRankScalable);

// Hints. Memory of ncclMemAlloc is reached directly as it is, other memory by single copy: nothing to gain.

ncclResult_t pncclCommRegister(const ncclComm_t comm, void*, size_t, void** handle) {
  if (handle == nullptr) return report(null_argument("handle"));
  *handle = nullptr;
  return report(known(comm).status());
}
TWIN(CommRegister);

ncclResult_t pncclCommDeregister(const ncclComm_t comm, void* handle) {
  if (handle != nullptr) return report(Status(Code::kInvalidUsage, "not a handle of ncclCommRegister"));
  return report(known(comm).status());
}
TWIN(CommDeregister);

ncclResult_t pncclCommMemStats(ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value) {
  if (value == nullptr) return report(null_argument("value"));
  const auto communicator = known(comm);
  if (!communicator.ok()) return report(communicator.status());
  switch (stat) {
    case ncclStatGpuMemSuspend:
    case ncclStatGpuMemSuspended:
      *value = 0;
      return ncclSuccess;
    case ncclStatGpuMemPersist:
    case ncclStatGpuMemTotal:
      *value = communicator.value()->memory_bytes();
      return ncclSuccess;
  }
  return report(Status(Code::kInvalidArgument, fmt::format("unknown statistic {}", static_cast<int>(stat))));
}
TWIN(CommMemStats);

ncclResult_t pncclCommSuspend(ncclComm_t comm, int flags) {
  if (flags != NCCL_SUSPEND_MEM)
    return report(
        Status(Code::kInvalidArgument, fmt::format("flags is {}: must be NCCL_SUSPEND_MEM", flags)));
  return refuse(comm, "ncclCommSuspend", kNothingToSuspend);
}
TWIN(CommSuspend);

ncclResult_t pncclCommResume(ncclComm_t comm) { return refuse(comm, "ncclCommResume", kNothingToSuspend); }
TWIN(CommResume);

ncclResult_t pncclSetEncryption(const ncclEncryptionConfig_t* config) {
  if (config == nullptr) return report(null_argument("config"));
  if (config->magic != NCCL_API_MAGIC || config->size < offsetof(ncclEncryptionConfig_t, psk))
    return report(
        Status(Code::kInvalidArgument, "the config was not made by NCCL_ENCRYPTION_CONFIG_INITIALIZER"));
  if (config->mode == NCCL_ENCRYPTION_MODE_NONE) return ncclSuccess;
  if (config->mode != NCCL_ENCRYPTION_MODE_PSK)
    return report(Status(Code::kInvalidArgument, fmt::format("mode is {}: unknown", config->mode)));
  return report(
      refusal("ncclSetEncryption",
              "Hansa's sockets authenticate each other and every message by the unique id's secret, but "
              "speak no TLS; leave the mode at NONE"));
}
TWIN(SetEncryption);

ncclResult_t pncclGroupSimulateEnd(ncclSimInfo_t*) {
  group().abandon();
  return report(
      refusal("ncclGroupSimulateEnd",
              "times are not estimated yet; the group was given up, end it with ncclGroupEnd to run it"));
}
TWIN(GroupSimulateEnd);
