// What the interface declares and this version does not do yet. Hints are accepted as NCCL allows where they
// bring nothing; everything else refuses and says so.
#include <fmt/format.h>

#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

ncclResult_t refuse(const char* name, const char* instead) {
  return report(Status(Code::kUnsupported,
                       fmt::format("{} is not supported by this version of Hansa: {}", name, instead)));
}

constexpr const char* kNewId = "make a new communicator from a new unique id";

}  // namespace

ncclResult_t pncclCommInitRankScalable(ncclComm_t* newcomm, int nranks, int myrank, int nId,
                                       ncclUniqueId* commIds, ncclConfig_t* config) {
  if (newcomm == nullptr) return report_in_group(null_argument("newcomm"));
  *newcomm = nullptr;
  if (commIds == nullptr) return report_in_group(null_argument("commIds"));
  if (nId < 1 || nId > nranks)
    return report_in_group(
        Status(Code::kInvalidArgument, fmt::format("nId is {}: must be in 1..nranks", nId)));
  // One root serves all: the other ids only spread the work.
  return pncclCommInitRankConfig(newcomm, nranks, commIds[0], myrank, config);
}
TWIN(CommInitRankScalable);

ncclResult_t pncclCommRevoke(ncclComm_t, int) { return refuse("ncclCommRevoke", "use ncclCommAbort"); }
TWIN(CommRevoke);

ncclResult_t pncclCommShrink(ncclComm_t, int*, int, ncclComm_t* newcomm, ncclConfig_t*, int) {
  if (newcomm != nullptr) *newcomm = nullptr;
  return refuse("ncclCommShrink", kNewId);
}
TWIN(CommShrink);

// NCCL allows a NULL handle where registration brings nothing.
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

// NCCL allows a NULL window where windows are not supported.
ncclResult_t pncclCommWindowRegister(ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win, int) {
  if (win == nullptr) return report(null_argument("win"));
  *win = nullptr;
  if (buff == nullptr || size == 0)
    return report(Status(Code::kInvalidArgument, "an empty buffer for a window"));
  return report(known(comm).status());
}
TWIN(CommWindowRegister);

ncclResult_t pncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t win) {
  if (win != nullptr) return report(Status(Code::kInvalidUsage, "not a window of ncclCommWindowRegister"));
  return report(known(comm).status());
}
TWIN(CommWindowDeregister);

ncclResult_t pncclGroupSimulateEnd(ncclSimInfo_t*) {
  group().abandon();
  return refuse("ncclGroupSimulateEnd", "end the group with ncclGroupEnd");
}
TWIN(GroupSimulateEnd);
