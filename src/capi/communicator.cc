// The C ABI of communicators: life and questions. What works on them is in nccl.cc.
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "base/config.hpp"
#include "base/fault_point.hpp"
#include "capi/births.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"
#include "hansa/bootstrap.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

ncclResult_t pncclGetUniqueId(ncclUniqueId* uniqueId) {
  if (uniqueId == nullptr) return report(null_argument("uniqueId"));
  SessionOptions options;
  options.interface = config().interface;
  options.address_family = config().address_family;
  options.meeting_point = config().comm_id;
  options.secret = config().secret;
  options.port_first = config().port_range.first;
  options.port_last = config().port_range.last;
  options.timeout = config().init_patience();
  return guarded([&] {
    const auto id = create_unique_id(options);
    if (id.ok()) std::memcpy(uniqueId->internal, id.value().data(), sizeof uniqueId->internal);
    return report(id.status());
  });
}
TWIN(GetUniqueId);

ncclResult_t pncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank,
                                     ncclConfig_t* config) {
  if (comm == nullptr) return report_in_group(null_argument("comm"));
  *comm = nullptr;
  return guarded([&] {
    const auto wishes = read_wishes(config, {});
    if (!wishes.ok()) return report_in_group(wishes.status());
    CommunicatorOptions options = options_of(wishes.value());
    std::memcpy(options.id.data(), commId.internal, options.id.size());
    options.rank = rank;
    options.ranks = nranks;
    return report_in_group(init(comm, options));
  });
}
TWIN(CommInitRankConfig);

ncclResult_t pncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank) {
  return pncclCommInitRankConfig(comm, nranks, commId, rank, nullptr);
}
TWIN(CommInitRank);

ncclResult_t pncclCommInitAll(ncclComm_t* comm, int ndev, const int* devlist) {
  if (comm == nullptr) return report_in_group(null_argument("comm"));
  if (ndev < 1)
    return report_in_group(
        Status(Code::kInvalidArgument, fmt::format("ndev is {}: must be at least 1", ndev)));
  for (int i = 0; devlist != nullptr && i < ndev; ++i) {
    if (devlist[i] < 0)
      return report_in_group(
          Status(Code::kInvalidArgument, fmt::format("device {} does not exist", devlist[i])));
    for (int j = 0; j < i; ++j)
      if (devlist[i] == devlist[j])
        return report_in_group(
            Status(Code::kInvalidUsage, fmt::format("device {} is listed twice", devlist[i])));
  }
  ncclUniqueId id{};  // one rank alone meets nobody
  if (ndev > 1)
    if (const ncclResult_t result = pncclGetUniqueId(&id); result != ncclSuccess) return result;
  group().start();
  for (int i = 0; i < ndev; ++i) {
    comm[i] = nullptr;
    CommunicatorOptions options;
    std::memcpy(options.id.data(), id.internal, options.id.size());
    options.rank = i;
    options.ranks = ndev;
    options.device = devlist != nullptr ? devlist[i] : i;
    (void)guarded([&] { return report_in_group(init(&comm[i], options)); });
  }
  const ncclResult_t result = guarded([] { return report(group().end()); });
  for (int i = 0; result != ncclSuccess && i < ndev; ++i)
    if (comm[i] != nullptr) (void)pncclCommAbort(std::exchange(comm[i], nullptr));
  return result;
}
TWIN(CommInitAll);

ncclResult_t pncclCommFinalize(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  auto communicator = permitted(comm, Action::kFinalize);
  if (!communicator.ok()) return report(communicator.status());
  communicator.value()->set_finalizing();
  if (!communicator.value()->blocking() && communicator.value()->pending.load() > 0)
    return report(
        Status(Code::kInProgress, "operations are pending; ncclCommGetAsyncError tells when it is over"));
  progress().drain(*communicator.value());
  return report(communicator.value()->failure());
}
TWIN(CommFinalize);

ncclResult_t pncclCommDestroy(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  {
    const auto communicator = known(comm);
    if (!communicator.ok()) return report(communicator.status());
    if (group().uses(*communicator.value()))
      return report_in_group(
          Status(Code::kInvalidUsage,
                 "operations of the open group use the communicator: ncclGroupEnd comes first"));
  }
  {
    // While it waits, another thread may still abort what it waits for.
    const auto communicator = known(comm);
    if (!communicator.ok()) return report(communicator.status());
    (void)fault_point(Point::kDestroyBegin);
    communicator.value()->set_finalizing();
    progress().drain(*communicator.value());
    communicator.value()->flush();
  }
  std::unique_ptr<Communicator> owned(communicators().take(comm));
  if (!owned)
    return report(Status(Code::kInvalidArgument, "the communicator is being destroyed by another thread"));
  retire(comm, std::move(owned));
  return ncclSuccess;
}
TWIN(CommDestroy);

ncclResult_t pncclCommAbort(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  {
    const auto communicator = known(comm);
    if (!communicator.ok()) return report(communicator.status());
    group().drop(*communicator.value());
    const Status reason(Code::kRemote,
                        fmt::format("rank {} called ncclCommAbort", communicator.value()->rank()));
    (void)fault_point(Point::kAbortBegin);
    communicator.value()->nursery().give_up(reason);
    communicator.value()->give_up(reason);
    (void)fault_point(Point::kAbortRaised);
  }
  std::unique_ptr<Communicator> owned(communicators().take(comm));
  if (!owned)
    return report(Status(Code::kInvalidArgument, "the communicator is being destroyed by another thread"));
  retire(comm, std::move(owned));
  return ncclSuccess;
}
TWIN(CommAbort);

ncclResult_t pncclCommRevoke(ncclComm_t comm, int revokeFlags) {
  if (comm == nullptr) return ncclSuccess;
  return guarded([&] {
    if (revokeFlags != NCCL_REVOKE_DEFAULT)
      return report(Status(Code::kInvalidArgument,
                           fmt::format("revokeFlags is {}: must be NCCL_REVOKE_DEFAULT", revokeFlags)));
    auto communicator = permitted(comm, Action::kRevoke);
    if (communicator.ok()) communicator.value()->revoke();
    return report(communicator.status());
  });
}
TWIN(CommRevoke);

ncclResult_t pncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError) {
  if (asyncError == nullptr) return report(null_argument("asyncError"));
  const auto communicator = known(comm);
  if (!communicator.ok()) return report(communicator.status());
  const Communicator& found = *communicator.value();
  // In this order: what fails while it is asked is not to look done.
  const State state = found.state();
  const bool working = state == State::kConnecting || !found.nursery().empty() ||
                       (found.pending.load() > 0 && (!found.blocking() || state == State::kRevoked));
  // Who has revoked has what it wanted.
  Status failure = found.revoked_in_order() ? Status() : found.failure();
  if (failure.ok() && !working) failure = found.nursery().failure();
  *asyncError = to_result(failure.code());
  if (*asyncError == ncclSuccess && working) *asyncError = ncclInProgress;
  return ncclSuccess;
}
TWIN(CommGetAsyncError);

ncclResult_t pncclCommCount(const ncclComm_t comm, int* count) {
  if (count == nullptr) return report(null_argument("count"));
  const auto communicator = known(comm);
  if (communicator.ok()) *count = communicator.value()->ranks();
  return report(communicator.status());
}
TWIN(CommCount);

ncclResult_t pncclCommUserRank(const ncclComm_t comm, int* rank) {
  if (rank == nullptr) return report(null_argument("rank"));
  const auto communicator = known(comm);
  if (communicator.ok()) *rank = communicator.value()->rank();
  return report(communicator.status());
}
TWIN(CommUserRank);

ncclResult_t pncclCommCuDevice(const ncclComm_t comm, int* device) {
  if (device == nullptr) return report(null_argument("device"));
  const auto communicator = known(comm);
  if (communicator.ok()) *device = communicator.value()->device();
  return report(communicator.status());
}
TWIN(CommCuDevice);
