// The C ABI of windows and one-sided calls.
#include <fmt/format.h>

#include <limits>
#include <span>
#include <vector>

#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

Status show(ncclComm_t comm, void* buffer, std::size_t bytes, ncclWindow_t* win) {
  HANSA_ASSIGN_OR_RETURN(CommunicatorLease communicator, usable(comm));
  if (buffer == nullptr || bytes == 0)
    return Status(Code::kInvalidArgument, "a window needs a buffer of at least one byte");
  Communicator* const owner = communicator.get();
  const auto act = [owner, buffer, bytes, win, ticket = owner->announce()] {
    const auto window = owner->show(buffer, bytes, *ticket);
    if (window.ok()) *win = reinterpret_cast<ncclWindow_t>(const_cast<Window*>(window.value()));
    return window.status();
  };
  return group().together(std::move(communicator), act, [win] { *win = nullptr; });
}

Result<const Window*> window_of(const Communicator& communicator, ncclWindow_t win) {
  if (const Window* window = communicator.window(win)) return window;
  return Status(Code::kInvalidArgument,
                "not a window of this communicator: it is NULL (ncclCommWindowRegister could not make one), "
                "deregistered, or another's");
}

Status submit_one_sided(std::span<const OneSidedCall> calls, unsigned flags, ncclComm_t comm,
                        cudaStream_t stream) {
  HANSA_ASSIGN_OR_RETURN(CommunicatorLease communicator, usable(comm));
  if (flags != 0) return Status(Code::kInvalidArgument, fmt::format("flags is {}: must be 0", flags));
  HANSA_ASSIGN_OR_RETURN(Group::StreamLease lease, to_stream(stream));
  return group().submit(std::move(communicator), std::move(lease), calls);
}

Status put(const void* from, std::size_t count, ncclDataType_t datatype, ncclWindow_t win, unsigned flags,
           OneSidedCall call, ncclComm_t comm, cudaStream_t stream) {
  HANSA_ASSIGN_OR_RETURN(const CommunicatorLease communicator, usable(comm));
  HANSA_ASSIGN_OR_RETURN(const DataType type, to_type(datatype));
  HANSA_ASSIGN_OR_RETURN(call.window, window_of(*communicator, win));
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  call.kind = OneSidedCall::Kind::kPut;
  call.input = {static_cast<const std::byte*>(from),
                count > kMost / size_of(type) ? kMost : count * size_of(type)};
  return submit_one_sided({&call, 1}, flags, comm, stream);
}

Status wait(int n, const ncclWaitSignalDesc_t* list, ncclComm_t comm, cudaStream_t stream) {
  if (n < 0 || (n > 0 && list == nullptr))
    return Status(Code::kInvalidArgument, fmt::format("{} descriptions of signals at NULL", n));
  std::vector<OneSidedCall> calls;
  for (const ncclWaitSignalDesc_t& one : std::span(list, static_cast<std::size_t>(n))) {
    if (one.opCnt < 0)
      return Status(Code::kInvalidArgument, fmt::format("opCnt is {}: must be at least 0", one.opCnt));
    calls.push_back({.kind = OneSidedCall::Kind::kWait,
                     .peer = one.peer,
                     .signal = one.sigIdx,
                     .context = one.ctx,
                     .times = static_cast<std::uint64_t>(one.opCnt)});
  }
  return submit_one_sided(calls, 0, comm, stream);
}

}  // namespace

ncclResult_t pncclCommWindowRegister(ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win,
                                     int winFlags) {
  (void)winFlags;  // all are hints for GPUs
  if (win == nullptr) return report_in_group(null_argument("win"));
  *win = nullptr;
  return guarded([&] { return report_in_group(show(comm, buff, size, win)); });
}
TWIN(CommWindowRegister);

ncclResult_t pncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t win) {
  return guarded([&] {
    const auto communicator = known(comm);
    if (!communicator.ok()) return report(communicator.status());
    return win == nullptr ? ncclSuccess : report(communicator.value()->hide(win));
  });
}
TWIN(CommWindowDeregister);

ncclResult_t pncclWinGetUserPtr(ncclComm_t comm, ncclWindow_t win, void** outUserPtr) {
  if (outUserPtr == nullptr) return report(null_argument("outUserPtr"));
  *outUserPtr = nullptr;
  return guarded([&] {
    const auto communicator = known(comm);
    if (!communicator.ok()) return report(communicator.status());
    const auto window = window_of(*communicator.value(), win);
    if (window.ok()) *outUserPtr = window.value()->buffer;
    return report(window.status());
  });
}
TWIN(WinGetUserPtr);

ncclResult_t pncclPutSignal(const void* localbuff, size_t count, ncclDataType_t datatype, int peer,
                            ncclWindow_t peerWin, size_t peerWinOffset, int sigIdx, int ctx,
                            unsigned int flags, ncclComm_t comm, cudaStream_t stream) {
  const OneSidedCall call{.peer = peer, .signal = sigIdx, .context = ctx, .offset = peerWinOffset};
  return guarded(
      [&] { return report_in_group(put(localbuff, count, datatype, peerWin, flags, call, comm, stream)); });
}
TWIN(PutSignal);

ncclResult_t pncclSignal(int peer, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm,
                         cudaStream_t stream) {
  const OneSidedCall call{.peer = peer, .signal = sigIdx, .context = ctx};
  return guarded([&] { return report_in_group(submit_one_sided({&call, 1}, flags, comm, stream)); });
}
TWIN(Signal);

ncclResult_t pncclWaitSignal(int nDesc, ncclWaitSignalDesc_t* signalDescs, ncclComm_t comm,
                             cudaStream_t stream) {
  return guarded([&] { return report_in_group(wait(nDesc, signalDescs, comm, stream)); });
}
TWIN(WaitSignal);
