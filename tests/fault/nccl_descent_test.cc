// Communicators that come from others: Split, Shrink, Grow, also from one that was revoked, or of which ranks
// have died; in the background, too.
#include <atomic>

#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

// Every rank of it adds one: the sum is how many there are.
void expect_size(ncclComm_t comm, int ranks) {
  int one = 1, count = 0;
  EXPECT_DONE(ncclCommCount(comm, &count));
  EXPECT_EQ(ranks, count);
  const ncclResult_t started = ncclAllReduce(&one, &one, 1, ncclInt, ncclSum, comm, nullptr);
  EXPECT_TRUE(started == ncclSuccess || started == ncclInProgress) << last_error();
  EXPECT_EQ(ncclSuccess, settled(comm)) << last_error(comm);
  EXPECT_EQ(ranks, one);
}

int rank_in(ncclComm_t comm) {
  int rank = -1;
  EXPECT_DONE(ncclCommUserRank(comm, &rank));
  return rank;
}

// What a program does that polls: the parent first, then the child.
ncclComm_t awaited(ncclComm_t parent, std::atomic<ncclComm_t>& child, ncclResult_t started) {
  EXPECT_EQ(ncclInProgress, started) << last_error();
  EXPECT_EQ(ncclSuccess, settled(parent)) << last_error();
  return child.load();
}

TEST(Split, InTheBackground) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  std::vector<ncclComm_t> comms(5);
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t& comm) {
    ncclConfig_t config = non_blocking();
    ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 5, id, rank, &config));
    ASSERT_EQ(ncclSuccess, settled(comm));
    for (int round = 0; round < 3; ++round) {
      std::atomic<ncclComm_t> child{nullptr};
      static_assert(sizeof child == sizeof(ncclComm_t));
      const int color = rank == round ? NCCL_SPLIT_NOCOLOR : rank % 2;
      const ncclComm_t born = awaited(
          comm, child, ncclCommSplit(comm, color, -rank, reinterpret_cast<ncclComm_t*>(&child), nullptr));
      if (rank == round) {
        EXPECT_EQ(nullptr, born);
        continue;
      }
      ASSERT_NE(nullptr, born);
      const int size = (rank % 2 == 0 ? 3 : 2) - (round % 2 == rank % 2 ? 1 : 0);
      expect_size(born, size);
      EXPECT_DONE(ncclCommDestroy(born));
    }
    EXPECT_DONE(ncclCommDestroy(comm));
  });
}

TEST(Split, InTheBackgroundCanBeAborted) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  std::vector<ncclComm_t> comms(2);
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t& comm) {
    ncclConfig_t config = non_blocking();
    ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 2, id, rank, &config));
    ASSERT_EQ(ncclSuccess, settled(comm));
  });
  // Rank 1 never comes.
  ncclComm_t child = nullptr;
  EXPECT_EQ(ncclInProgress, ncclCommSplit(comms[0], 0, 0, &child, nullptr));
  ncclResult_t state = ncclSuccess;
  EXPECT_DONE(ncclCommGetAsyncError(comms[0], &state));
  EXPECT_EQ(ncclInProgress, state);
  const Stopwatch watch;
  EXPECT_DONE(ncclCommAbort(comms[0]));
  EXPECT_LT(watch.seconds(), kBound);
  EXPECT_EQ(nullptr, child);
  EXPECT_DONE(ncclCommAbort(comms[1]));
}

TEST(Split, FailsInTheBackgroundWhenARankGoes) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  std::vector<ncclComm_t> comms(3);
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t& comm) {
    ncclConfig_t config = non_blocking();
    ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 3, id, rank, &config));
    ASSERT_EQ(ncclSuccess, settled(comm));
  });
  ncclComm_t children[2] = {};
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(ncclInProgress, ncclCommSplit(comms[static_cast<std::size_t>(i)], 0, 0, &children[i], nullptr));
  EXPECT_DONE(ncclCommAbort(comms[2]));
  // The two meet again, and wait for the third: aborting ends that.
  for (int i = 0; i < 2; ++i) EXPECT_DONE(ncclCommAbort(comms[static_cast<std::size_t>(i)]));
  for (const ncclComm_t child : children) EXPECT_EQ(nullptr, child);
}

// Another thread's abort ends a call that waits for ranks which never come.
TEST(Split, ABlockingOneEndsWithItsParent) {
  Ranks ranks(2);
  std::thread splitting([comm = ranks[0]] {
    ncclComm_t child = nullptr;
    EXPECT_NE(ncclSuccess, ncclCommSplit(comm, 0, 0, &child, nullptr));
    EXPECT_EQ(nullptr, child);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Stopwatch watch;
  EXPECT_DONE(ncclCommAbort(std::exchange(ranks.comms[0], nullptr)));
  splitting.join();
  EXPECT_LT(watch.seconds(), kBound);
  EXPECT_DONE(ncclCommAbort(std::exchange(ranks.comms[1], nullptr)));
}

// What a group that fails had asked for leaves no gap behind which later calls would wait.
TEST(Split, AfterAGroupThatFailed) {
  Ranks ranks(2);
  std::vector<int> own(2);
  ranks.each([&](int rank, ncclComm_t comm) {
    ncclComm_t child = nullptr;
    ncclWindow_t window = nullptr;
    int* const mine = &own[static_cast<std::size_t>(rank)];
    for (int way = 0; way < 2; ++way) {
      EXPECT_DONE(ncclGroupStart());
      EXPECT_DONE(ncclCommWindowRegister(comm, mine, 4, &window, 0));
      EXPECT_DONE(ncclCommSplit(comm, 0, 0, &child, nullptr));
      if (way == 0) {
        EXPECT_REFUSED(ncclInvalidArgument, ncclCommSplit(comm, -7, 0, &child, nullptr));
        EXPECT_REFUSED(ncclInvalidArgument, ncclGroupEnd());
      } else {
        EXPECT_REFUSED(ncclInvalidUsage, ncclCommDestroy(comm));  // the group needs it
        EXPECT_REFUSED(ncclInvalidUsage, ncclGroupSimulateEnd(nullptr));
      }
      EXPECT_EQ(nullptr, child);
      EXPECT_EQ(nullptr, window);
    }
    EXPECT_DONE(ncclCommWindowRegister(comm, mine, 4, &window, 0));
    EXPECT_DONE(ncclCommSplit(comm, 0, 0, &child, nullptr));
    expect_size(child, 2);
    EXPECT_DONE(ncclCommDestroy(child));
  });
}

TEST(Split, IsPutAwayByAnAbortInItsGroup) {
  Ranks ranks(2);
  ncclComm_t child = nullptr;
  EXPECT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclCommSplit(ranks[0], 0, 0, &child, nullptr));
  const Stopwatch watch;
  EXPECT_DONE(ncclCommAbort(std::exchange(ranks.comms[0], nullptr)));
  EXPECT_DONE(ncclGroupEnd());
  EXPECT_LT(watch.seconds(), 0.8);  // nothing is kept that the abort would wait for
  EXPECT_EQ(nullptr, child);
  EXPECT_DONE(ncclCommAbort(std::exchange(ranks.comms[1], nullptr)));
}

TEST(Shrink, RefusesWhatMakesNoSense) {
  Ranks ranks(3);
  ncclComm_t child = nullptr;
  int self = 0, other = 1, outside = 3;
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(ranks[0], nullptr, 1, &child, nullptr, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(ranks[0], &other, 0, &child, nullptr, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(ranks[0], &self, 1, &child, nullptr, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(ranks[0], &outside, 1, &child, nullptr, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(ranks[0], &other, 1, &child, nullptr, 2));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(ranks[0], &other, 1, nullptr, nullptr, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommShrink(nullptr, &other, 1, &child, nullptr, 0));
  EXPECT_EQ(nullptr, child);
}

// The excluded do not call, and the parent goes on.
TEST(Shrink, OfAHealthyCommunicator) {
  for (const int count : {2, 3, 5}) {
    Ranks ranks(count);
    for (int excluded : {0, count - 1}) {
      for (int again = 0; again < 2; ++again)
        ranks.each([&](int rank, ncclComm_t comm) {
          if (rank == excluded) return;
          int list[2] = {excluded, excluded};
          ncclComm_t child = nullptr;
          EXPECT_DONE(ncclCommShrink(comm, list, 2, &child, nullptr, NCCL_SHRINK_DEFAULT));
          EXPECT_EQ(rank - (rank > excluded ? 1 : 0), rank_in(child));
          expect_size(child, count - 1);
          EXPECT_DONE(ncclCommDestroy(child));
        });
      ranks.expect_usable();
    }
  }
}

// What is pending ends, also on those that are left out.
TEST(Shrink, WithAbort) {
  Ranks ranks(3);
  ranks.each([&](int rank, ncclComm_t& comm) {
    int value = 1, excluded = 2;
    if (rank == 2) {
      EXPECT_EQ(ncclRemoteError, ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr));
      EXPECT_NE(std::string::npos, last_error(comm).find("NCCL_SHRINK_ABORT")) << last_error(comm);
    } else {
      ncclComm_t child = nullptr;
      EXPECT_DONE(ncclCommShrink(comm, &excluded, 1, &child, nullptr, NCCL_SHRINK_ABORT));
      expect_size(child, 2);
      EXPECT_DONE(ncclCommDestroy(child));
    }
    EXPECT_DONE(ncclCommAbort(std::exchange(comm, nullptr)));
  });
}

TEST(Revoke, EndsWhatIsPendingEverywhere) {
  Ranks ranks(3);
  ranks.each([](int rank, ncclComm_t& comm) {
    int value = 1;
    if (rank == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_DONE(ncclCommRevoke(comm, NCCL_REVOKE_DEFAULT));
      EXPECT_EQ(ncclSuccess, settled(comm));
      EXPECT_REFUSED(ncclInvalidUsage, ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr));
      EXPECT_REFUSED(ncclInvalidUsage, ncclCommFinalize(comm));
    } else {
      EXPECT_EQ(ncclRemoteError, ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr));
      EXPECT_NE(std::string::npos, last_error(comm).find("rank 1 called ncclCommRevoke")) << last_error(comm);
      EXPECT_DONE(ncclCommRevoke(comm, NCCL_REVOKE_DEFAULT));
    }
    // Everybody is still alive: split, then shrink, from a communicator that is of no other use.
    ncclComm_t child = nullptr;
    EXPECT_DONE(ncclCommSplit(comm, rank == 0 ? 0 : 1, 0, &child, nullptr));
    expect_size(child, rank == 0 ? 1 : 2);
    EXPECT_DONE(ncclCommDestroy(child));
    if (rank == 0) return;
    int excluded = 0;
    EXPECT_DONE(ncclCommShrink(comm, &excluded, 1, &child, nullptr, NCCL_SHRINK_DEFAULT));
    expect_size(child, 2);
    EXPECT_DONE(ncclCommDestroy(child));
  });
  EXPECT_DONE(ncclCommRevoke(nullptr, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommRevoke(ranks[0], 1));
}

TEST(Grow, TakesNewRanksIn) {
  for (const int old : {1, 3}) {
    Ranks ranks(old);
    ncclUniqueId id, other;
    ASSERT_DONE(ncclCommGetUniqueId(ranks[old - 1], &id));
    EXPECT_REFUSED(ncclInvalidUsage, ncclCommGetUniqueId(ranks[old - 1], &other));
    std::vector<int> everybody(static_cast<std::size_t>(old) + 2);
    in_threads<int>(everybody, [&](int rank, int&) {
      ncclComm_t grown = nullptr;
      if (rank < old) {
        EXPECT_DONE(ncclCommGrow(ranks[rank], old + 2, rank == old - 1 ? &id : nullptr, -1, &grown, nullptr));
      } else {
        EXPECT_DONE(ncclCommGrow(nullptr, old + 2, &id, rank, &grown, nullptr));
      }
      EXPECT_EQ(rank, rank_in(grown));
      expect_size(grown, old + 2);
      EXPECT_DONE(ncclCommDestroy(grown));
    });
    EXPECT_DONE(ncclCommGetUniqueId(ranks[old - 1], &other));
    ranks.expect_usable();
  }
}

TEST(Grow, RefusesWhatMakesNoSense) {
  Ranks ranks(2);
  ncclUniqueId id;
  ncclComm_t grown = nullptr;
  ASSERT_DONE(ncclCommGetUniqueId(ranks[0], &id));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGrow(ranks[0], 2, &id, -1, &grown, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGrow(ranks[0], 3, &id, 0, &grown, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGrow(nullptr, 3, nullptr, 2, &grown, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGrow(nullptr, 3, &id, 3, &grown, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGrow(nullptr, 3, &id, 2, nullptr, nullptr));
  // Nobody brings the id.
  ranks.each([](int, ncclComm_t comm) {
    ncclComm_t child = nullptr;
    EXPECT_REFUSED(ncclInvalidUsage, ncclCommGrow(comm, 3, nullptr, -1, &child, nullptr));
    EXPECT_EQ(nullptr, child);
  });
  EXPECT_EQ(nullptr, grown);
}

TEST(Scalable, TakesSeveralIds) {
  std::vector<ncclUniqueId> ids(3);
  for (ncclUniqueId& id : ids) ASSERT_DONE(ncclGetUniqueId(&id));
  std::vector<ncclComm_t> comms(4);
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t& comm) {
    ASSERT_DONE(ncclCommInitRankScalable(&comm, 4, rank, 3, ids.data(), nullptr));
    expect_size(comm, 4);
    EXPECT_DONE(ncclCommDestroy(comm));
  });
  ncclComm_t comm = nullptr;
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRankScalable(&comm, 2, 0, 0, ids.data(), nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRankScalable(&comm, 2, 0, 3, ids.data(), nullptr));
}

}  // namespace
}  // namespace hansa::test
