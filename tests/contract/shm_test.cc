#include "transports/shm/shm.hpp"

#include "device/host/host_memory.hpp"
#include "tests/contract/transport_contract.hpp"
#include "tests/support/delaying_transport.hpp"

namespace hansa::test {
namespace {

Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
  return open_shm(options, shm_slots(options.ranks, options.lanes));
}
// Two slots of one line: every message wraps or waits.
Result<std::unique_ptr<Transport>> open_small(const TransportOptions& options) {
  return open_shm(options, {64, 2});
}
Result<std::unique_ptr<Transport>> open_delayed(const TransportOptions& options) {
  HANSA_ASSIGN_OR_RETURN(auto inner, open_shm(options, {128, 4}));
  return delaying_transport(std::move(inner), options.lanes, static_cast<std::uint64_t>(options.rank) + 77);
}
std::unique_ptr<Memory> memory() { return std::make_unique<HostMemory>(); }

INSTANTIATE_TEST_SUITE_P(Shm, TransportContract,
                         testing::Values(TransportCase{"Threads", RunAs::kThreads, open, memory},
                                         TransportCase{"Processes", RunAs::kProcesses, open, memory},
                                         TransportCase{"SmallThreads", RunAs::kThreads, open_small, memory},
                                         TransportCase{"SmallProcesses", RunAs::kProcesses, open_small,
                                                       memory},
                                         TransportCase{"Delayed", RunAs::kThreads, open_delayed, memory}),
                         case_name);

}  // namespace
}  // namespace hansa::test
