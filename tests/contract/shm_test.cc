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
// Whoever is faster on this machine, both are tried.
template <Copier kCopier>
Result<std::unique_ptr<Transport>> open_copied_by(const TransportOptions& options) {
  TransportOptions forced = options;
  forced.copier = kCopier;
  return open(forced);
}
std::unique_ptr<Memory> memory() { return std::make_unique<HostMemory>(); }

INSTANTIATE_TEST_SUITE_P(
    Shm, TransportContract,
    testing::Values(TransportCase{"Threads", RunAs::kThreads, open, memory},
                    TransportCase{"Processes", RunAs::kProcesses, open, memory},
                    TransportCase{"SmallThreads", RunAs::kThreads, open_small, memory},
                    TransportCase{"SmallProcesses", RunAs::kProcesses, open_small, memory},
                    TransportCase{"CopiedByKernel", RunAs::kProcesses, open_copied_by<Copier::kKernel>,
                                  memory},
                    TransportCase{"CopiedByRanks", RunAs::kProcesses, open_copied_by<Copier::kRanks>, memory},
                    TransportCase{"Delayed", RunAs::kThreads, open_delayed, memory}),
    case_name);

TEST(ShmCopier, IsWhoeverWasAskedFor) {
  const auto expect = [](const OpenTransport& wish, Staged staged, bool deposits) {
    run_ranks({.as = RunAs::kProcesses, .open = wish, .memory = memory}, [=](TestRank& self) {
      EXPECT_EQ(self.to(1 - self.rank()).capabilities().staged, staged);
      EXPECT_EQ(self.to(1 - self.rank()).capabilities().deposits, deposits);
    });
  };
  expect(open_copied_by<Copier::kKernel>, Staged::kNone, false);
  expect(open_copied_by<Copier::kRanks>, Staged::kNone, false);
  expect(open_copied_by<Copier::kSlots>, Staged::kAll, false);
  expect(open_copied_by<Copier::kDepot>, Staged::kNone, true);
}

}  // namespace
}  // namespace hansa::test
