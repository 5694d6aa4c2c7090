// The C ABI: translates, decides nothing. Every ncclX is a weak alias of a strong pncclX, so that tools can
// interpose the one and call on to the other.
#include "nccl.h"

#include <cstring>
#include <memory>
#include <new>

#include "base/config.hpp"
#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"
#include "hansa/hansa.h"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

// ---- Library ----

ncclResult_t pncclGetVersion(int* version) {
  if (version == nullptr) return report(null_argument("version"));
  *version = config().nccl_version;
  return ncclSuccess;
}
TWIN(GetVersion);

const char* pncclGetErrorString(ncclResult_t result) { return describe(result); }
TWIN(GetErrorString);

const char* pncclGetLastError(ncclComm_t comm) {
  if (auto communicator = communicators().find(comm))
    if (const Status failure = communicator->failure(); !failure.ok()) last_error() = failure.message();
  return last_error().c_str();
}
TWIN(GetLastError);

void pncclResetDebugInit(void) {}
TWIN(ResetDebugInit);

ncclResult_t pncclMemAlloc(void** ptr, size_t size) {
  if (ptr == nullptr) return report(null_argument("ptr"));
  *ptr = nullptr;
  if (size == 0) return ncclSuccess;
  return guarded([&] {
    auto memory = host_memory().allocate(size);
    if (memory.ok()) *ptr = memory.value();
    return report(memory.status());
  });
}
TWIN(MemAlloc);

ncclResult_t pncclMemFree(void* ptr) {
  return ptr == nullptr ? ncclSuccess : report(host_memory().free(ptr));
}
TWIN(MemFree);

// ---- Groups ----

ncclResult_t pncclGroupStart(void) {
  group().start();
  return ncclSuccess;
}
TWIN(GroupStart);

ncclResult_t pncclGroupEnd(void) {
  return guarded([] { return report(group().end()); });
}
TWIN(GroupEnd);

// ---- Operators ----

ncclResult_t pncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t datatype,
                                       ncclScalarResidence_t residence, ncclComm_t comm) {
  if (op == nullptr) return report(null_argument("op"));
  *op = ncclNumOps;
  if (scalar == nullptr) return report(null_argument("scalar"));
  if (residence != ncclScalarDevice && residence != ncclScalarHostImmediate)
    return report(
        Status(Code::kInvalidArgument, "residence is neither ncclScalarDevice nor ncclScalarHostImmediate"));
  const auto type = to_type(datatype);
  if (!type.ok()) return report(type.status());
  auto communicator = usable(comm);
  if (!communicator.ok()) return report(communicator.status());
  return guarded([&] {
    *op = static_cast<ncclRedOp_t>(
        communicator.value()->create_operator(type.value(), scalar, residence == ncclScalarHostImmediate));
    return ncclSuccess;
  });
}
TWIN(RedOpCreatePreMulSum);

ncclResult_t pncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm) {
  auto communicator = usable(comm);
  return report(communicator.ok() ? communicator.value()->destroy_operator(op) : communicator.status());
}
TWIN(RedOpDestroy);

// ---- Collectives ----

namespace {

// What most calls are: nothing wrong with them, and nothing in their way. No thread has a group open or has
// given its next call a time-out, and the progress thread has nothing of the communicator.
bool is_plain(const Communicator& communicator, ncclDataType_t type, int op, cudaStream_t stream) noexcept {
  return !communicator.forked() && communicator.state() == State::kReady && type >= 0 &&
         type < ncclNumTypes && op >= 0 && op < ncclNumOps && stream == nullptr && communicator.blocking() &&
         open_groups().load(std::memory_order_relaxed) == 0 &&
         communicator.pending.load(std::memory_order_acquire) == 0;
}
static_assert(allowed(State::kReady, Action::kOperate));

// What a collective is; together in a word, since calls have more arguments than registers.
struct Form {
  Collective collective;
  Rank root = 0;
};

ncclResult_t run(const void* input, void* output, std::size_t count, ncclDataType_t type, int op,
                 ncclComm_t comm, cudaStream_t stream, Form form) try {
  if (const CommunicatorLease lease = communicators().find(comm); lease && is_plain(*lease, type, op, stream))
      [[likely]] {
    const auto what =
        Request::what(form.collective, static_cast<DataType>(type), static_cast<ReduceOp>(op), form.root);
    if (KnownCall* const known = lease->known(what, count, input, output); known != nullptr) [[likely]]
      return lease->make(*known, input, output) ? ncclSuccess : report(Group::wait(*lease));
  }
  return submit(
      {.collective = form.collective, .root = form.root, .input = input, .output = output, .count = count},
      type, op, comm, stream);
} catch (...) {
  return caught();
}

}  // namespace

ncclResult_t pncclAllReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                            ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, count, datatype, op, comm, stream, {Collective::kAllReduce});
}
TWIN(AllReduce);

ncclResult_t pncclReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                         ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, count, datatype, op, comm, stream, {Collective::kReduce, root});
}
TWIN(Reduce);

ncclResult_t pncclBroadcast(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                            int root, ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, count, datatype, ncclSum, comm, stream, {Collective::kBroadcast, root});
}
TWIN(Broadcast);

ncclResult_t pncclBcast(void* buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                        cudaStream_t stream) {
  return pncclBroadcast(buff, buff, count, datatype, root, comm, stream);
}
TWIN(Bcast);

ncclResult_t pncclReduceScatter(const void* sendbuff, void* recvbuff, size_t recvcount,
                                ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                                cudaStream_t stream) {
  return run(sendbuff, recvbuff, recvcount, datatype, op, comm, stream, {Collective::kReduceScatter});
}
TWIN(ReduceScatter);

ncclResult_t pncclAllGather(const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype,
                            ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, sendcount, datatype, ncclSum, comm, stream, {Collective::kAllGather});
}
TWIN(AllGather);

ncclResult_t pncclAlltoAll(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, count, datatype, ncclSum, comm, stream, {Collective::kAllToAll});
}
TWIN(AlltoAll);

ncclResult_t pncclGather(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                         int root, ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, count, datatype, ncclSum, comm, stream, {Collective::kGather, root});
}
TWIN(Gather);

ncclResult_t pncclScatter(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                          int root, ncclComm_t comm, cudaStream_t stream) {
  return run(sendbuff, recvbuff, count, datatype, ncclSum, comm, stream, {Collective::kScatter, root});
}
TWIN(Scatter);

ncclResult_t pncclSend(const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                       cudaStream_t stream) {
  return submit_message({true, peer, const_cast<void*>(sendbuff), count}, datatype, comm, stream);
}
TWIN(Send);

ncclResult_t pncclRecv(void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                       cudaStream_t stream) {
  return submit_message({false, peer, recvbuff, count}, datatype, comm, stream);
}
TWIN(Recv);
