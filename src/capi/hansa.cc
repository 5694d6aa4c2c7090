// hansa.h: our own C extensions.
#include "hansa/hansa.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <thread>

#include "capi/translate.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

ncclResult_t hansaVersion(int* version) {
  if (version == nullptr) return report(null_argument("version"));
  *version = HANSA_VERSION;
  return ncclSuccess;
}

ncclResult_t hansaStreamCreate(hansaStream_t* stream) {
  if (stream == nullptr) return report(null_argument("stream"));
  return guarded([&] {
    auto created = std::make_unique<HostStream>();
    *stream = static_cast<hansaStream_t>(streams().put(created.get()));
    if (*stream == nullptr)
      return report(Status(Code::kSystem, "too many streams: destroy those no longer needed"));
    (void)created.release();
    return ncclSuccess;
  });
}

ncclResult_t hansaStreamDestroy(hansaStream_t stream) {
  if (stream == nullptr) return ncclSuccess;
  {
    const auto found = to_stream(stream);
    if (!found.ok()) return report(found.status());
    if (group().uses(*found.value()))
      return report_in_group(Status(Code::kInvalidUsage,
                                    "operations of the open group use the stream: ncclGroupEnd comes first"));
  }
  const std::unique_ptr<HostStream> owned(streams().take(stream));
  if (!owned)
    return report(Status(Code::kInvalidArgument, "the stream is being destroyed by another thread"));
  // In this order: a group that another thread has open may still queue operations.
  while (streams().in_use(stream)) std::this_thread::sleep_for(std::chrono::microseconds(100));
  return report(progress().drain(*owned));
}

ncclResult_t hansaStreamSynchronize(hansaStream_t stream) {
  if (stream == nullptr) return report(null_argument("stream"));
  const auto found = to_stream(stream);
  return report(found.ok() ? progress().drain(*found.value()) : found.status());
}

ncclResult_t hansaStreamQuery(hansaStream_t stream) {
  if (stream == nullptr) return report(null_argument("stream"));
  const auto found = to_stream(stream);
  return report(found.ok() ? progress().query(*found.value()) : found.status());
}

ncclResult_t hansaStreamAddCallback(hansaStream_t stream, void (*function)(void*), void* argument) {
  if (function == nullptr) return report(null_argument("function"));
  if (stream == nullptr) return report(no_stream());
  const auto found = to_stream(stream);
  if (!found.ok()) return report(found.status());
  return guarded([&] {
    std::vector<std::unique_ptr<Operation>> one;
    auto& operation = one.emplace_back(std::make_unique<Operation>());
    operation->kind = Operation::Kind::kHostCall;
    operation->streams.push_back(found.value().get());
    operation->function = function;
    operation->argument = argument;
    return report(progress().submit(std::move(one)));
  });
}

ncclResult_t hansaCommSetTimeout(ncclComm_t comm, double seconds) {
  const auto found = permitted(comm, Action::kQuery);
  if (!found.ok()) return report(found.status());
  if (std::isnan(seconds)) return report(Status(Code::kInvalidArgument, "seconds is not a number"));
  found.value()->set_limit(seconds);
  return report({});
}

ncclResult_t hansaNextTimeout(double seconds) {
  if (std::isnan(seconds)) return report(Status(Code::kInvalidArgument, "seconds is not a number"));
  group().set_limit(seconds);
  return report({});
}

ncclResult_t hansaAllGatherV(const void* sendbuff, size_t sendcount, void* recvbuff,
                             const size_t recvcounts[], const size_t displs[], ncclDataType_t datatype,
                             ncclComm_t comm, cudaStream_t stream) {
  return submit({.collective = Collective::kAllGatherV,
                 .input = sendbuff,
                 .output = recvbuff,
                 .count = sendcount,
                 .receive_counts = recvcounts,
                 .receive_offsets = displs},
                datatype, ncclSum, comm, stream);
}

ncclResult_t hansaReduceScatterV(const void* sendbuff, void* recvbuff, const size_t recvcounts[],
                                 ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                                 cudaStream_t stream) {
  return submit({.collective = Collective::kReduceScatterV,
                 .input = sendbuff,
                 .output = recvbuff,
                 .receive_counts = recvcounts},
                datatype, op, comm, stream);
}

ncclResult_t hansaAllToAllV(const void* sendbuff, const size_t sendcounts[], const size_t sdispls[],
                            void* recvbuff, const size_t recvcounts[], const size_t rdispls[],
                            ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream) {
  return submit({.collective = Collective::kAllToAllV,
                 .input = sendbuff,
                 .output = recvbuff,
                 .send_counts = sendcounts,
                 .send_offsets = sdispls,
                 .receive_counts = recvcounts,
                 .receive_offsets = rdispls},
                datatype, ncclSum, comm, stream);
}

ncclResult_t hansaBarrier(ncclComm_t comm, cudaStream_t stream) {
  return submit({.collective = Collective::kBarrier}, ncclInt8, ncclSum, comm, stream);
}
