#include "transports/inproc/inproc.hpp"

#include "tests/contract/transport_contract.hpp"

namespace hansa::test {
namespace {

Result<std::unique_ptr<Transport>> open(const TransportOptions& options) { return open_inproc(options); }
// Two slots of one line: every message wraps or waits.
Result<std::unique_ptr<Transport>> open_small(const TransportOptions& options) {
  return open_inproc(options, {64, 2});
}
Result<std::unique_ptr<Transport>> open_freight(const TransportOptions& options) {
  return open_inproc(options, {64, 2}, 64);
}

INSTANTIATE_TEST_SUITE_P(Inproc, TransportContract,
                         testing::Values(TransportCase{"Threads", RunAs::kThreads, open},
                                         TransportCase{"Small", RunAs::kThreads, open_small},
                                         TransportCase{"Freight", RunAs::kThreads, open_freight}),
                         case_name);

}  // namespace
}  // namespace hansa::test
