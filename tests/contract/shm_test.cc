#include "transports/shm/shm.hpp"

#include "device/host/host_memory.hpp"
#include "tests/contract/transport_contract.hpp"
#include "tests/support/delaying_transport.hpp"

namespace hansa::test {

struct ShmThreads {
  static constexpr RunAs kRunAs = RunAs::kThreads;
  static Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
    return open_shm(options);
  }
  static std::unique_ptr<Memory> memory() { return std::make_unique<HostMemory>(); }
};
struct ShmProcesses : ShmThreads {
  static constexpr RunAs kRunAs = RunAs::kProcesses;
};
// Two slots of one line: every message wraps or waits.
struct ShmSmallThreads : ShmThreads {
  static Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
    return open_shm(options, {64, 2});
  }
};
struct ShmSmallProcesses : ShmSmallThreads {
  static constexpr RunAs kRunAs = RunAs::kProcesses;
};
struct ShmDelayed : ShmThreads {
  static Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
    HANSA_ASSIGN_OR_RETURN(auto inner, open_shm(options, {128, 4}));
    return delaying_transport(std::move(inner), options.lanes, static_cast<std::uint64_t>(options.rank) + 77);
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(ShmThreads, TransportContract, ShmThreads);
INSTANTIATE_TYPED_TEST_SUITE_P(ShmProcesses, TransportContract, ShmProcesses);
INSTANTIATE_TYPED_TEST_SUITE_P(ShmSmallThreads, TransportContract, ShmSmallThreads);
INSTANTIATE_TYPED_TEST_SUITE_P(ShmSmallProcesses, TransportContract, ShmSmallProcesses);
INSTANTIATE_TYPED_TEST_SUITE_P(ShmDelayed, TransportContract, ShmDelayed);

}  // namespace hansa::test
