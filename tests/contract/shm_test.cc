#include "transports/shm/shm.hpp"

#include <unistd.h>

#include <cerrno>

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

// Or the contract's part about it passes without a post.
TEST(ShmBillboard, IsThereForThreeRanksAndMore) {
  for (const RunAs as : {RunAs::kThreads, RunAs::kProcesses})
    for (const Rank ranks : {2, 3, 4})
      run_ranks({.as = as, .ranks = ranks, .open = open, .memory = memory}, [](TestRank& self) {
        for (Rank peer = 0; peer < self.ranks(); ++peer)
          EXPECT_EQ(self.to(peer).capabilities().billboard != nullptr, self.ranks() > 2);
      });
}

// What one reader wrote by mistake all others would read.
TEST(ShmBillboard, IsOnlyReadByItsReaders) {
  run_ranks({.as = RunAs::kProcesses, .ranks = 3, .open = open, .memory = memory}, [](TestRank& self) {
    if (self.rank() == 0) {
      const Capabilities& can = self.to(1).capabilities();
      const Billboard::Reader reader{can.billboard_place, 0};
      ASSERT_NE(can.billboard->reserve(0), nullptr);
      can.billboard->commit({&reader, 1}, 64, 0);
    }
    if (self.rank() == 1) {
      Arrival arrival;
      ASSERT_TRUE(self.wait([&] { return (arrival = self.to(0).peek(0, 0)).data != nullptr; }));
      int ends[2];
      ASSERT_EQ(pipe(ends), 0);
      ASSERT_EQ(write(ends[1], "x", 1), 1);
      EXPECT_EQ(read(ends[0], const_cast<std::byte*>(arrival.data), 1), -1);
      EXPECT_EQ(errno, EFAULT);
      close(ends[0]);
      close(ends[1]);
    }
    (void)self.barrier();
  });
}

}  // namespace
}  // namespace hansa::test
