#include "transports/inproc/inproc.hpp"

#include "tests/contract/transport_contract.hpp"

namespace hansa::test {

struct Inproc {
  static constexpr RunAs kRunAs = RunAs::kThreads;
  static Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
    return open_inproc(options);
  }
  static std::unique_ptr<Memory> memory() { return nullptr; }
};

// Two slots of one line: every message wraps or waits.
struct InprocSmall : Inproc {
  static Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
    return open_inproc(options, {64, 2});
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Inproc, TransportContract, Inproc);
INSTANTIATE_TYPED_TEST_SUITE_P(InprocSmall, TransportContract, InprocSmall);

}  // namespace hansa::test
