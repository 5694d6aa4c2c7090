// Between C's words and ours.
#pragma once

#include "core/factory.hpp"
#include "core/request.hpp"
#include "hansa/status.hpp"
#include "nccl.h"

namespace hansa {

using CommunicatorLease = HandleTable<Communicator>::Lease;

// Remembers the failure's text as this thread's last error. No code above ncclInProgress is ever returned.
ncclResult_t report(const Status& status);
// The same for what a group can hold; in a group, its end returns the failure again.
ncclResult_t report_in_group(const Status& status);
// Runs a function's body; what the standard library throws becomes a result like any other.
template <class Body>
ncclResult_t guarded(Body body);
ncclResult_t to_result(Code code);
const char* describe(ncclResult_t result);

Status null_argument(const char* name);
Status no_stream();

Result<DataType> to_type(ncclDataType_t type);
// The stream behind a handle; NULL gives an empty lease.
Result<Group::StreamLease> to_stream(const void* stream);
// The communicator behind a handle, or why it is none of this process.
Result<CommunicatorLease> known(ncclComm_t comm);
// The same where its state allows the action, or why not.
Result<CommunicatorLease> permitted(ncclComm_t comm, Action action);
inline Result<CommunicatorLease> usable(ncclComm_t comm) { return permitted(comm, Action::kOperate); }

// One collective, one message (`count` still in PointToPoint::bytes), with C's type, operator, handles.
ncclResult_t submit(const Request& request, ncclDataType_t type, int op, ncclComm_t comm,
                    cudaStream_t stream);
ncclResult_t submit_message(PointToPoint message, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream);

// In a handler: what was thrown, as a result.
ncclResult_t caught();

template <class Body>
ncclResult_t guarded(Body body) try {
  return body();
} catch (...) {
  return caught();
}

}  // namespace hansa
