// Windows and one-sided calls, between threads and between processes.
#include <algorithm>
#include <cstdint>
#include <numeric>

#include "nccl_processes.hpp"
#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

// Sizes below, at and above the pieces that puts are cut into.
constexpr std::size_t kSizes[] = {0, 1, 7, 4096, (std::size_t{1} << 20) / 4, (std::size_t{3} << 20) / 4 + 5};
constexpr std::size_t kMost = kSizes[std::size(kSizes) - 1];

std::vector<int> numbers(int from, std::size_t count) {
  std::vector<int> list(count);
  std::iota(list.begin(), list.end(), from * 1000003);
  return list;
}

// Every rank puts into its right neighbour, in a block of its own, and waits for its left one; true if all
// arrives.
bool pass_right(ncclComm_t comm, int rank, int ranks, ncclWindow_t window, const int* mine,
                hansaStream_t stream) {
  const int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
  const cudaStream_t on = stream ? hansaStreamAsCuda(stream) : nullptr;
  for (std::size_t i = 0; i < std::size(kSizes); ++i) {
    const std::vector<int> sent = numbers(rank + static_cast<int>(i), kSizes[i]);
    ncclWaitSignalDesc_t wait{1, left, static_cast<int>(i), static_cast<int>(i % 4)};
    if (ncclPutSignal(sent.data(), sent.size(), ncclInt, right, window, 64 * sizeof(int), static_cast<int>(i),
                      static_cast<int>(i % 4), 0, comm, on) != ncclSuccess ||
        ncclWaitSignal(1, &wait, comm, on) != ncclSuccess)
      return false;
    if (stream && hansaStreamSynchronize(stream) != ncclSuccess) return false;
    const std::vector<int> wanted = numbers(left + static_cast<int>(i), kSizes[i]);
    if (!std::equal(wanted.begin(), wanted.end(), mine + 64)) return false;
    // Seen: the next may come.
    ncclWaitSignalDesc_t seen{1, right, 15, 3};
    if (ncclSignal(left, 15, 3, 0, comm, on) != ncclSuccess ||
        ncclWaitSignal(1, &seen, comm, on) != ncclSuccess ||
        (stream && hansaStreamSynchronize(stream) != ncclSuccess))
      return false;
  }
  return true;
}

TEST(OneSided, BetweenThreads) {
  for (const int count : {1, 2, 3}) {
    Ranks ranks(count);
    ranks.each([&](int rank, ncclComm_t comm) {
      std::vector<int> own(64 + kMost);
      ncclWindow_t window = nullptr;
      ASSERT_DONE(ncclCommWindowRegister(comm, own.data(), own.size() * sizeof(int), &window,
                                         NCCL_WIN_COLL_SYMMETRIC));
      ASSERT_NE(nullptr, window);
      void* back = nullptr;
      EXPECT_DONE(ncclWinGetUserPtr(comm, window, &back));
      EXPECT_EQ(own.data(), back);
      EXPECT_TRUE(pass_right(comm, rank, count, window, own.data(), nullptr)) << last_error(comm);
      hansaStream_t stream;
      ASSERT_DONE(hansaStreamCreate(&stream));
      EXPECT_TRUE(pass_right(comm, rank, count, window, own.data(), stream)) << last_error(comm);
      EXPECT_DONE(hansaStreamDestroy(stream));
      EXPECT_DONE(ncclCommWindowDeregister(comm, window));
      EXPECT_REFUSED(ncclInvalidUsage, ncclCommWindowDeregister(comm, window));
      EXPECT_REFUSED(ncclInvalidArgument, ncclWinGetUserPtr(comm, window, &back));
      EXPECT_DONE(hansaBarrier(comm, nullptr));  // the buffer goes when all have deregistered
    });
    ranks.expect_usable();
  }
}

// Memory of ncclMemAlloc is mapped, other memory reached by single copy where the kernel lets us; else there
// is no window, which every rank learns alike.
TEST(OneSided, BetweenProcesses) {
  for (const bool mapped : {true, false}) {
    Processes processes(3, [=](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
      std::vector<int> plain(64 + kMost);
      void* own = plain.data();
      ncclComm_t comm = nullptr;
      ncclWindow_t window = nullptr;
      ncclResult_t result = ncclCommInitRank(&comm, 3, id, rank);
      if (mapped) result = ncclMemAlloc(&own, plain.size() * sizeof(int));
      if (result == ncclSuccess)
        result = ncclCommWindowRegister(comm, own, plain.size() * sizeof(int), &window, NCCL_WIN_DEFAULT);
      report.phase = window != nullptr ? 2 : 1;
      if (window != nullptr && !pass_right(comm, rank, 3, window, static_cast<int*>(own), nullptr)) _exit(4);
      report.note(result, comm);
      if (hansaBarrier(comm, nullptr) != ncclSuccess || ncclCommDestroy(comm) != ncclSuccess) _exit(3);
    });
    for (int rank = 0; rank < 3; ++rank) {
      processes.expect_end(rank);
      processes.expect(rank, ncclSuccess, {});
      EXPECT_EQ(processes[0].phase, processes[rank].phase);
      if (mapped) {
        EXPECT_EQ(2, processes[rank].phase);
      }
    }
  }
}

// Both wait first and put then, in one group: the group puts first.
TEST(OneSided, GroupsPutBeforeTheyWait) {
  Ranks ranks(2);
  std::vector<std::vector<int>> own(2, std::vector<int>(100));
  std::vector<ncclWindow_t> windows(2);
  ASSERT_DONE(ncclGroupStart());
  for (int i = 0; i < 2; ++i) {
    auto& mine = own[static_cast<std::size_t>(i)];
    ASSERT_DONE(ncclCommWindowRegister(ranks[i], mine.data(), 400, &windows[static_cast<std::size_t>(i)], 0));
  }
  ASSERT_DONE(ncclGroupEnd());
  ranks.each([&](int rank, ncclComm_t comm) {
    const std::vector<int> sent = numbers(rank, 100);
    ncclWaitSignalDesc_t wait{3, 1 - rank, 0, 0};
    ASSERT_DONE(ncclGroupStart());
    EXPECT_DONE(ncclWaitSignal(1, &wait, comm, nullptr));
    for (int i = 0; i < 2; ++i) EXPECT_DONE(ncclSignal(1 - rank, 0, 0, 0, comm, nullptr));
    EXPECT_DONE(ncclPutSignal(sent.data(), 100, ncclInt, 1 - rank, windows[static_cast<std::size_t>(rank)], 0,
                              0, 0, 0, comm, nullptr));
    EXPECT_DONE(ncclGroupEnd());
    EXPECT_EQ(numbers(1 - rank, 100), own[static_cast<std::size_t>(rank)]);
  });
}

TEST(OneSided, RefusesWhatMakesNoSense) {
  Ranks ranks(2);
  int value = 0;
  ncclWaitSignalDesc_t wait{1, 0, 0, 0};
  EXPECT_REFUSED(ncclInvalidUsage, ncclSignal(1, 0, 0, 0, ranks[0], nullptr));
  EXPECT_REFUSED(ncclInvalidUsage, ncclWaitSignal(1, &wait, ranks[0], nullptr));
  ncclWindow_t window = nullptr;
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommWindowRegister(ranks[0], nullptr, 4, &window, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommWindowRegister(ranks[0], &value, 0, &window, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommWindowRegister(ranks[0], &value, 4, nullptr, 0));
  std::vector<int> own(2);
  std::vector<ncclWindow_t> windows(2);
  ranks.each([&](int rank, ncclComm_t comm) {
    const auto at = static_cast<std::size_t>(rank);
    // Every rank offers another size.
    ASSERT_DONE(ncclCommWindowRegister(comm, &own[at], rank == 0 ? 4 : 2, &windows[at], 0));
  });
  window = windows[0];
  const auto put = [&](std::size_t count, int peer, ncclWindow_t win, std::size_t offset, int signal,
                       int context, unsigned flags) {
    return ncclPutSignal(&value, count, ncclInt8, peer, win, offset, signal, context, flags, ranks[0],
                         nullptr);
  };
  EXPECT_DONE(put(2, 1, window, 0, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(3, 1, window, 0, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(2, 1, window, 1, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 1, window, ~std::size_t{0}, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(~std::size_t{0}, 1, window, 0, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 2, window, 0, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 1, nullptr, 0, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 1, windows[1], 0, 0, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 1, window, 0, 16, 0, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 1, window, 0, 0, 4, 0));
  EXPECT_REFUSED(ncclInvalidArgument, put(1, 1, window, 0, 0, 0, 1));
  wait.opCnt = -1;
  EXPECT_REFUSED(ncclInvalidArgument, ncclWaitSignal(1, &wait, ranks[1], nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclWaitSignal(1, nullptr, ranks[1], nullptr));
  wait.opCnt = 1;
  EXPECT_DONE(ncclWaitSignal(1, &wait, ranks[1], nullptr));
  EXPECT_DONE(ncclWaitSignal(0, nullptr, ranks[1], nullptr));
}

// Memory is the owner's again as soon as its abort has returned, whatever a peer that has not heard of it
// still puts.
TEST(OneSided, NothingLandsAfterAnAbort) {
  Processes processes(2, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    std::vector<std::uint8_t> own(1 << 20, 1), ones(own.size(), 1);
    ncclComm_t comm = nullptr;
    ncclWindow_t window = nullptr;
    if (ncclCommInitRank(&comm, 2, id, rank) != ncclSuccess ||
        ncclCommWindowRegister(comm, own.data(), own.size(), &window, 0) != ncclSuccess)
      _exit(3);
    if (window == nullptr) _exit(0);  // no single copy here
    if (rank == 0) {
      ncclResult_t result = ncclSuccess;
      while (result == ncclSuccess)
        result = ncclPutSignal(ones.data(), ones.size(), ncclUint8, 1, window, 0, 0, 0, 0, comm, nullptr);
      report.note(result, comm);
      if (ncclCommAbort(comm) != ncclSuccess) _exit(4);
      return;
    }
    ncclWaitSignalDesc_t wait{3, 0, 0, 0};
    if (ncclWaitSignal(1, &wait, comm, nullptr) != ncclSuccess || ncclCommAbort(comm) != ncclSuccess)
      _exit(5);
    std::fill(own.begin(), own.end(), std::uint8_t{0});
    usleep(100'000);
    report.note(own == std::vector<std::uint8_t>(own.size()) ? ncclSuccess : ncclInternalError);
  });
  for (int rank = 0; rank < 2; ++rank) processes.expect_end(rank);
  processes.expect(0, ncclRemoteError, {"rank 1"});
  processes.expect(1, ncclSuccess, {});
}

TEST(OneSided, ABadStreamLeavesTheGroupAsItWas) {
  Ranks ranks(1);
  int own = 0;
  ncclWindow_t window = nullptr;
  ASSERT_DONE(ncclCommWindowRegister(ranks[0], &own, 4, &window, 0));
  ncclWaitSignalDesc_t wait{1, 0, 0, 0};
  const auto bad = reinterpret_cast<cudaStream_t>(&own);
  ASSERT_DONE(ncclGroupStart());
  EXPECT_REFUSED(ncclInvalidArgument, ncclWaitSignal(1, &wait, ranks[0], bad));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGroupEnd());
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
  EXPECT_REFUSED(ncclInvalidArgument, ncclWaitSignal(1, &wait, ranks[0], bad));
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
}

// Who waits for a signal hears of the end of who was to give it.
TEST(OneSided, AWaitEndsWithThePeer) {
  Ranks ranks(2);
  std::vector<int> own(2);
  ranks.each([&](int rank, ncclComm_t& comm) {
    ncclWindow_t window = nullptr;
    ASSERT_DONE(ncclCommWindowRegister(comm, &own[static_cast<std::size_t>(rank)], 4, &window, 0));
    if (rank == 1) {
      EXPECT_DONE(ncclCommAbort(std::exchange(comm, nullptr)));
      return;
    }
    ncclWaitSignalDesc_t wait{1, 1, 0, 0};
    EXPECT_EQ(ncclRemoteError, ncclWaitSignal(1, &wait, comm, nullptr));
    EXPECT_NE(std::string::npos, last_error(comm).find("rank 1")) << last_error(comm);
  });
}

}  // namespace
}  // namespace hansa::test
