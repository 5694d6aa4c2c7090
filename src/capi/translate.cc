#include "capi/translate.hpp"

#include <fmt/format.h>

#include <exception>
#include <limits>
#include <new>

#include "base/log.hpp"

namespace hansa {

ncclResult_t to_result(Code code) {
  switch (code) {
    case Code::kOk:
      return ncclSuccess;
    case Code::kInvalidArgument:
      return ncclInvalidArgument;
    case Code::kInvalidUsage:
    case Code::kUnsupported:
      return ncclInvalidUsage;
    case Code::kSystem:
      return ncclSystemError;
    case Code::kInternal:
      return ncclInternalError;
    case Code::kRemote:
    case Code::kDamaged:
      return ncclRemoteError;
    case Code::kInProgress:
      return ncclInProgress;
    case Code::kAborted:
      return ncclInternalError;
  }
  return ncclInternalError;
}

const char* describe(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "a CUDA call failed";
    case ncclSystemError:
      return "the operating system or a limit refused";
    case ncclInternalError:
      return "internal error, or the communicator was aborted";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage: not allowed here or now, or ranks called differently";
    case ncclRemoteError:
      return "another rank failed, left or did not come in time";
    case ncclInProgress:
      return "still in progress";
    default:
      return "unknown result code";
  }
}

ncclResult_t report(const Status& status) {
  if (status.ok()) return ncclSuccess;
  if (status.code() != Code::kInProgress) {
    last_error() = status.message();
    HANSA_INFO("{}", status.message());
  }
  return to_result(status.code());
}

ncclResult_t report_in_group(const Status& status) {
  if (!status.ok() && status.code() != Code::kInProgress) group().fail(status);
  group().forget_limit();
  return report(status);
}

ncclResult_t caught() {
  const auto no_resources = [](const char* what) { return report_in_group(Status(Code::kSystem, what)); };
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return no_resources("out of memory");
  } catch (const std::exception& error) {
    return no_resources(error.what());
  }
}

Result<Group::StreamLease> to_stream(const void* stream) {
  if (stream == nullptr) return Group::StreamLease();
  auto found = streams().find(stream);
  if (!found) return no_stream();
  if (found->forked())
    return Status(
        Code::kInvalidUsage,
        "the stream was made before fork(): only the parent process can use it; make a new one here");
  return found;
}

Status null_argument(const char* name) {
  return Status(Code::kInvalidArgument, fmt::format("{} is NULL", name));
}

Status no_stream() {
  return Status(Code::kInvalidArgument,
                "the stream is not one of hansaStreamCreate, or was destroyed: in host mode pass NULL or a "
                "host stream");
}

Result<DataType> to_type(ncclDataType_t type) {
  if (type < 0 || type >= ncclNumTypes)
    return Status(Code::kInvalidArgument, fmt::format("unknown data type {}: must be in 0..{}",
                                                      static_cast<int>(type), ncclNumTypes - 1));
  return static_cast<DataType>(type);
}

Result<CommunicatorLease> known(ncclComm_t comm) {
  if (comm == nullptr) return null_argument("the communicator");
  CommunicatorLease lease = communicators().find(comm);
  if (!lease)
    return Status(
        Code::kInvalidArgument,
        "not a communicator of this library, or destroyed already (is another libnccl loaded as well?)");
  if (lease->forked())
    return Status(
        Code::kInvalidUsage,
        "the communicator was made before fork(): only the parent process can use it; make a new one here");
  return lease;
}

Result<CommunicatorLease> permitted(ncclComm_t comm, Action action) {
  HANSA_ASSIGN_OR_RETURN(CommunicatorLease lease, known(comm));
  const State state = lease->state();
  if (allowed(state, action)) return lease;
  switch (state) {
    case State::kConnecting:
      return Status(Code::kInvalidArgument,
                    "the communicator still connects: wait until ncclCommGetAsyncError is no "
                    "longer ncclInProgress");
    case State::kFinalizing:
      return Status(Code::kInvalidArgument,
                    "the communicator was finalized: only ncclCommDestroy or ncclCommAbort remain");
    case State::kRevoked:
      return Status(Code::kInvalidUsage,
                    "the communicator was revoked: only ncclCommShrink, ncclCommSplit, ncclCommDestroy or "
                    "ncclCommAbort remain");
    default:
      break;
  }
  const Status failure = lease->failure();
  return failure.within("the communicator has failed");
}

namespace {

Status submit_call(Request request, ncclDataType_t type, int op, ncclComm_t comm, cudaStream_t stream) {
  HANSA_ASSIGN_OR_RETURN(CommunicatorLease communicator, usable(comm));
  HANSA_ASSIGN_OR_RETURN(request.type, to_type(type));
  if (op < 0 || op >= ncclNumOps)
    HANSA_RETURN_IF_ERROR(communicator->resolve_operator(op, request));
  else
    request.op = static_cast<ReduceOp>(op);
  HANSA_ASSIGN_OR_RETURN(Group::StreamLease lease, to_stream(stream));
  return group().submit(std::move(communicator), std::move(lease), request);
}

Status submit_one(PointToPoint message, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  HANSA_ASSIGN_OR_RETURN(CommunicatorLease communicator, usable(comm));
  HANSA_ASSIGN_OR_RETURN(const DataType element, to_type(type));
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  message.bytes = message.bytes > kMost / size_of(element) ? kMost : message.bytes * size_of(element);
  HANSA_ASSIGN_OR_RETURN(Group::StreamLease lease, to_stream(stream));
  return group().submit(std::move(communicator), std::move(lease), message);
}

}  // namespace

ncclResult_t submit(const Request& request, ncclDataType_t type, int op, ncclComm_t comm,
                    cudaStream_t stream) {
  return guarded([&] { return report_in_group(submit_call(request, type, op, comm, stream)); });
}

ncclResult_t submit_message(PointToPoint message, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  return guarded([&] { return report_in_group(submit_one(message, type, comm, stream)); });
}

}  // namespace hansa
