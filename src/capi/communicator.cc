// The C ABI of communicators: life and questions. What works on them is in nccl.cc.
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>

#include "base/config.hpp"
#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"
#include "hansa/bootstrap.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

// Frees what a handle stood for, once no other thread is in a call on it and nothing is pending. What does
// not end in time keeps the object: memory is lost rather than pulled from under it.
void retire(ncclComm_t comm, std::unique_ptr<Communicator> owned) {
  constexpr std::chrono::milliseconds kPatience{900};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (communicators().in_use(comm) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  if (communicators().in_use(comm) || !progress().drain_for(*owned, kPatience)) (void)owned.release();
}

Result<bool> read_blocking(const ncclConfig_t* config) {
  if (config == nullptr) return true;
  if (config->magic != 0xcafebeef)
    return Status(Code::kInvalidArgument, "the config was not made by NCCL_CONFIG_INITIALIZER");
  if (config->size < offsetof(ncclConfig_t, blocking) + sizeof(int) ||
      config->blocking == NCCL_CONFIG_UNDEF_INT)
    return true;
  if (config->blocking != 0 && config->blocking != 1)
    return Status(Code::kInvalidArgument,
                  fmt::format("config.blocking is {}: must be 0 or 1", config->blocking));
  return config->blocking == 1;
}

Status init(ncclComm_t* comm, const CommunicatorOptions& options) try {
  if (options.ranks < 1 || options.rank < 0 || options.rank >= options.ranks)
    return Status(Code::kInvalidArgument,
                  fmt::format("rank {} of {}: there must be at least one rank, and rank in "
                              "0..nranks-1",
                              options.rank, options.ranks));
  auto created = std::make_unique<Communicator>(options);
  void* handle = communicators().put(created.get());
  if (handle == nullptr)
    return Status(Code::kSystem, "too many communicators: destroy those no longer needed");
  (void)created.release();
  *comm = static_cast<ncclComm_t>(handle);
  return group().connect(communicators().find(handle), [comm, handle] {
    if (std::unique_ptr<Communicator> failed(communicators().take(handle)); failed)
      retire(static_cast<ncclComm_t>(handle), std::move(failed));
    *comm = nullptr;
  });
} catch (const std::bad_alloc&) {
  return Status(Code::kSystem, "out of memory: RLIMIT_AS or the memory cgroup may be too low");
} catch (const std::system_error& error) {
  return Status(Code::kSystem,
                fmt::format("a thread cannot be started: {}; RLIMIT_NPROC or the pids cgroup may be too low",
                            error.what()));
}

// *newcomm is set when all is done, and stays NULL for a rank without a color.
Status split(CommunicatorLease parent, const SplitWish& wish, ncclComm_t* newcomm, bool blocking) {
  // A child that fails in the background would belong to nobody.
  if (!blocking)
    return Status(
        Code::kUnsupported,
        "a non-blocking split is not supported by this version of Hansa: pass a config with blocking = 1");
  CommunicatorOptions options;
  options.rank = 0;  // the division tells
  options.device = parent->device();
  options.blocking = blocking;
  auto created = std::make_unique<Communicator>(options);
  Communicator* const child = created.get();
  void* handle = communicators().put(child);
  if (handle == nullptr)
    return Status(Code::kSystem, "too many communicators: destroy those no longer needed");
  (void)created.release();
  child->descend_from(std::move(parent), wish, [child, newcomm, handle] {
    *newcomm = child->absent() ? nullptr : static_cast<ncclComm_t>(handle);
  });
  return group().connect(communicators().find(handle), [newcomm, handle] {
    if (std::unique_ptr<Communicator> failed(communicators().take(handle)); failed)
      retire(static_cast<ncclComm_t>(handle), std::move(failed));
    *newcomm = nullptr;
  });
}

}  // namespace

ncclResult_t pncclGetUniqueId(ncclUniqueId* uniqueId) {
  if (uniqueId == nullptr) return report(null_argument("uniqueId"));
  SessionOptions options;
  options.interface = config().interface;
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
  const auto blocking = read_blocking(config);
  if (!blocking.ok()) return report_in_group(blocking.status());
  CommunicatorOptions options;
  std::memcpy(options.id.data(), commId.internal, options.id.size());
  options.rank = rank;
  options.ranks = nranks;
  options.blocking = blocking.value();
  return guarded([&] { return report_in_group(init(comm, options)); });
}
TWIN(CommInitRankConfig);

ncclResult_t pncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank) {
  return pncclCommInitRankConfig(comm, nranks, commId, rank, nullptr);
}
TWIN(CommInitRank);

ncclResult_t pncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config) {
  if (newcomm == nullptr) return report_in_group(null_argument("newcomm"));
  *newcomm = nullptr;
  auto parent = known(comm);
  if (!parent.ok()) return report_in_group(parent.status());
  if (!allowed(parent.value()->state(), Action::kSplit))
    return report_in_group(
        Status(Code::kInvalidArgument,
               "the communicator cannot be split: it still connects, has been finalized, or has failed"));
  if (color < 0 && color != NCCL_SPLIT_NOCOLOR)
    return report_in_group(
        Status(Code::kInvalidArgument,
               fmt::format("color is {}: must be at least 0, or NCCL_SPLIT_NOCOLOR", color)));
  const auto blocking = config != nullptr ? read_blocking(config) : Result<bool>(parent.value()->blocking());
  if (!blocking.ok()) return report_in_group(blocking.status());
  return guarded([&] {
    return report_in_group(split(std::move(parent).value(), {color, key}, newcomm, blocking.value()));
  });
}
TWIN(CommSplit);

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
  ncclUniqueId id;
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
  auto communicator = known(comm);
  if (!communicator.ok()) return report(communicator.status());
  if (!allowed(communicator.value()->state(), Action::kFinalize))
    return report(Status(Code::kInvalidArgument,
                         "the communicator is not in a state to be finalized (still connecting, "
                         "finalized already, or failed)"));
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
    communicator.value()->raise(
        Status(Code::kRemote, fmt::format("rank {} called ncclCommAbort", communicator.value()->rank())));
  }
  std::unique_ptr<Communicator> owned(communicators().take(comm));
  if (!owned)
    return report(Status(Code::kInvalidArgument, "the communicator is being destroyed by another thread"));
  retire(comm, std::move(owned));
  return ncclSuccess;
}
TWIN(CommAbort);

ncclResult_t pncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError) {
  if (asyncError == nullptr) return report(null_argument("asyncError"));
  const auto communicator = known(comm);
  if (!communicator.ok()) return report(communicator.status());
  const Communicator& found = *communicator.value();
  // In this order: what fails while it is asked is not to look done.
  const bool working = found.state() == State::kConnecting || (!found.blocking() && found.pending.load() > 0);
  *asyncError = to_result(found.failure().code());
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
