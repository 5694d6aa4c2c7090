// What the environment asks of the rules. Read when a fabric is opened and when a rule is broken, so tests
// may change it in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hansa::cxi_rules {

struct Settings {
  std::string library;   // CXI_RULES_LIBRARY: path of the real libfabric; standard: the one of the build
  std::string address;   // CXI_RULES_ADDRESS: numeric, what the one NIC is bound to; standard: 127.0.0.1
  bool rnr = false;      // CXI_RULES_RNR=1: the protocol without order: 40-bit tags, nothing injected
  bool local = false;    // CXI_RULES_LOCAL=1: local buffers need descriptors (FI_MR_LOCAL), unlike on cxi
  bool unbound = false;  // CXI_RULES_UNBOUND=1: regions are the domain's (no FI_MR_ENDPOINT), as with verbs
  std::size_t lockable = 0;    // CXI_RULES_LOCKABLE: bytes that regions of a domain may have; 0: any
  std::uint64_t seed = 0;      // CXI_RULES_SEED: of storms of FI_EAGAIN; 0: none
  std::size_t queue = 0;       // CXI_RULES_QUEUE: most sends, and most receives, posted at a time
  std::size_t unexpected = 0;  // CXI_RULES_UNEXPECTED: messages that may come before their receive
  std::size_t fail = 0;  // CXI_RULES_FAIL: which send of an endpoint fails with FI_EHOSTUNREACH; 0: none
  bool network =
      false;  // CXI_RULES_NETWORK=1: no default service: a domain needs the launcher's SLINGSHOT_VNIS
  bool abort = false;  // CXI_RULES_ABORT=1: die of a broken rule

  static Settings read();
};

}  // namespace hansa::cxi_rules
