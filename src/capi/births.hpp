// Communicators behind handles: how they come, and how they go.
#pragma once

#include "capi/translate.hpp"
#include "capi/wishes.hpp"

namespace hansa {

CommunicatorOptions options_of(const Wishes& wishes);
Wishes wishes_of(const Communicator& communicator);

// A new communicator from a unique id; *comm is set at once, and NULL again if it fails while the caller
// waits.
Status init(ncclComm_t* comm, const CommunicatorOptions& options);
// A child of `parent`; *newcomm is set when all is done, and stays NULL for a rank without a place. In the
// background where the parent is non-blocking.
Status descend(CommunicatorLease parent, Wish wish, const Wishes& wishes, ncclComm_t* newcomm);
// Frees what a handle stood for, once no other thread is in a call on it and nothing is pending. What does
// not end in time keeps the object: memory is lost rather than pulled from under it.
void retire(ncclComm_t comm, std::unique_ptr<Communicator> owned);

}  // namespace hansa
