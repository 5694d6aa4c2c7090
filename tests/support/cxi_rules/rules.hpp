// What Slingshot's provider cxi demands of its callers, rule by rule. Sources: fi_cxi(7), fi_mr(3),
// fi_tagged(3), and what the provider's code answers to each. tests/unit/cxi_rules_test.cc breaks each of
// them.
#pragma once

#include <rdma/fi_errno.h>

#include <string>

namespace hansa::cxi_rules {

struct Rule {
  const char* name;
  int error;        // that the call returns, negated
  const char* why;  // what hardware does to who breaks it
};

inline constexpr Rule kState{"state", FI_EOPBADSTATE,
                             "an endpoint has no command queue before it is enabled"};
inline constexpr Rule kIov{"iov", FI_EINVAL, "a command of the NIC describes one buffer"};
inline constexpr Rule kInject{"inject", FI_EMSGSIZE, "what is injected travels inside the command"};
inline constexpr Rule kTag{"tag", FI_EINVAL, "the other match bits are the provider's own"};
inline constexpr Rule kMessage{"message", FI_EMSGSIZE, "lengths have 32 bits on the wire"};
inline constexpr Rule kDescriptor{"descriptor", FI_EINVAL, "the NIC finds no translation for the buffer"};
inline constexpr Rule kBind{"bind", FI_EINVAL,
                            "a region is bound once, to an enabled endpoint of its domain"};
inline constexpr Rule kEnable{"enable", FI_EINVAL, "a region lives in the address space of an endpoint"};
inline constexpr Rule kAllocated{"allocated", FI_EFAULT, "the NIC pins pages, and there are none"};
inline constexpr Rule kKeySize{"key_size", FI_EKEYREJECTED, "keys that the client chooses have 32 bits"};
inline constexpr Rule kKey{"key", FI_EINVAL, "a region has a key when it is enabled, not before"};
inline constexpr Rule kOffset{"offset", FI_EIO,
                              "remote addresses count from the region's begin; nothing matches"};
inline constexpr Rule kWriteData{"write_data", FI_ENOSYS,
                                 "before 2.5 writes carry no data, whatever fi_getinfo says"};
inline constexpr Rule kPosted{"posted", FI_EBUSY,
                              "the NIC goes on writing to pages that are somebody else's by then"};
inline constexpr Rule kClose{"close", FI_EBUSY, "an endpoint stays while regions are bound to it"};
inline constexpr Rule kThread{"thread", FI_EBUSY,
                              "FI_THREAD_DOMAIN was asked for: the provider takes no lock"};
inline constexpr Rule kStorm{"storm", FI_EAGAIN,
                             "only reading the completion queue makes room, so this never ends"};
inline constexpr Rule kUnexpected{
    "unexpected", FI_EAGAIN, "list entries and overflow buffers run out and flow control stops the endpoint"};

inline constexpr const Rule* kRules[] = {
    &kState,   &kIov, &kInject, &kTag,       &kMessage, &kDescriptor, &kBind,   &kEnable, &kAllocated,
    &kKeySize, &kKey, &kOffset, &kWriteData, &kPosted,  &kClose,      &kThread, &kStorm,  &kUnexpected};

// Says on stderr which call broke which rule and how, and dies where CXI_RULES_ABORT is set; else returns the
// negated error.
int broken(const Rule& rule, const char* call, const std::string& how);

}  // namespace hansa::cxi_rules
