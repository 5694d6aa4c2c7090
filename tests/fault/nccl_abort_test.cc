// ncclCommAbort ends everything, in bounded time, in every state, without the peers' help.
#include <atomic>

#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kCount = 1009;

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

// Aborts and measures.
void expect_abort(ncclComm_t comm) {
  const Stopwatch watch;
  EXPECT_DONE(ncclCommAbort(comm));
  EXPECT_LT(watch.seconds(), kBound);
}

struct Blocking {
  const char* name;
  ncclResult_t (*call)(ncclComm_t comm, int* in, int* out);
};

// Calls that rank 0 of 2 cannot end alone.
const Blocking kBlocking[] = {
    {"AllReduce",
     [](ncclComm_t c, int* i, int* o) { return ncclAllReduce(i, o, kCount, ncclInt, ncclSum, c, nullptr); }},
    {"AllGather",
     [](ncclComm_t c, int* i, int* o) { return ncclAllGather(i, o, kCount, ncclInt, c, nullptr); }},
    {"ReduceScatter", [](ncclComm_t c, int* i,
                         int* o) { return ncclReduceScatter(i, o, kCount, ncclInt, ncclSum, c, nullptr); }},
    {"AlltoAll",
     [](ncclComm_t c, int* i, int* o) { return ncclAlltoAll(i, o, kCount, ncclInt, c, nullptr); }},
    {"Reduce",
     [](ncclComm_t c, int* i, int* o) { return ncclReduce(i, o, kCount, ncclInt, ncclSum, 0, c, nullptr); }},
    {"Broadcast",
     [](ncclComm_t c, int* i, int* o) { return ncclBroadcast(i, o, kCount, ncclInt, 1, c, nullptr); }},
    {"Gather", [](ncclComm_t c, int* i, int* o) { return ncclGather(i, o, kCount, ncclInt, 0, c, nullptr); }},
    {"Scatter",
     [](ncclComm_t c, int* i, int* o) { return ncclScatter(i, o, kCount, ncclInt, 1, c, nullptr); }},
    {"Recv", [](ncclComm_t c, int*, int* o) { return ncclRecv(o, kCount, ncclInt, 1, c, nullptr); }},
    {"Barrier", [](ncclComm_t c, int*, int*) { return hansaBarrier(c, nullptr); }},
    {"Group",
     [](ncclComm_t c, int* i, int* o) {
       EXPECT_DONE(ncclGroupStart());
       EXPECT_DONE(ncclSend(i, kCount, ncclInt, 1, c, nullptr));
       EXPECT_DONE(ncclRecv(o, kCount, ncclInt, 1, c, nullptr));
       EXPECT_DONE(ncclAllReduce(i, i, kCount, ncclInt, ncclSum, c, nullptr));
       return ncclGroupEnd();
     }},
};

class WhileBlocked : public testing::TestWithParam<Blocking> {};

TEST_P(WhileBlocked, FromAnotherThread) {
  ncclComm_t comms[2];
  ASSERT_DONE(ncclCommInitAll(comms, 2, nullptr));
  std::vector<int> in(2 * kCount), out(2 * kCount);
  std::thread blocked(
      [&] { EXPECT_REFUSED(ncclRemoteError, GetParam().call(comms[0], in.data(), out.data())); });
  pause();
  expect_abort(comms[0]);
  blocked.join();
  // The other hears of it, from its next call at the latest.
  const Stopwatch watch;
  EXPECT_REFUSED(ncclRemoteError, hansaBarrier(comms[1], nullptr));
  EXPECT_LT(watch.seconds(), kBound);
  EXPECT_NE(std::string::npos, last_error().find("rank 0")) << last_error();
  expect_abort(comms[1]);
}

INSTANTIATE_TEST_SUITE_P(Abort, WhileBlocked, testing::ValuesIn(kBlocking),
                         [](const auto& row) { return row.param.name; });

TEST(Abort, OtherRanksEndToo) {
  std::vector<ncclComm_t> comms(4);
  ASSERT_DONE(ncclCommInitAll(comms.data(), 4, nullptr));
  std::atomic<int> ended{0};
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t comm) {
    int value = rank;
    if (rank == 3) {
      pause();
      EXPECT_EQ(0, ended);
    } else {
      EXPECT_REFUSED(ncclRemoteError, ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr));
      ++ended;
    }
    expect_abort(comm);
  });
}

TEST(Abort, WhenIdleAndAfterFinalize) {
  ncclComm_t comms[2];
  ASSERT_DONE(ncclCommInitAll(comms, 2, nullptr));
  ASSERT_DONE(ncclCommFinalize(comms[1]));
  expect_abort(comms[0]);
  expect_abort(comms[1]);
}

TEST(Abort, DuringInit) {
  for (const bool blocking : {false, true}) {
    SCOPED_TRACE(blocking);
    ncclUniqueId id;
    ASSERT_DONE(ncclGetUniqueId(&id));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking;
    ncclComm_t comm = nullptr;
    if (!blocking) {
      ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 3, id, 0, &config));
      pause();
      expect_abort(comm);
      continue;
    }
    // Two of three ranks: the abort of one ends the other's init as well.
    ncclConfig_t aborted = config;
    aborted.blocking = 0;
    std::thread waiting([&] {
      ncclComm_t other = nullptr;
      EXPECT_REFUSED(ncclRemoteError, ncclCommInitRankConfig(&other, 3, id, 1, &config));
      EXPECT_EQ(nullptr, other);
    });
    ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 3, id, 0, &aborted));
    pause();
    expect_abort(comm);
    waiting.join();
  }
}

TEST(Abort, WithWorkPendingOnAStream) {
  ncclComm_t comms[2];
  ASSERT_DONE(ncclCommInitAll(comms, 2, nullptr));
  hansaStream_t stream = nullptr;
  ASSERT_DONE(hansaStreamCreate(&stream));
  std::vector<int> values(kCount);
  for (int i = 0; i < 3; ++i)
    ASSERT_DONE(ncclAllReduce(values.data(), values.data(), kCount, ncclInt, ncclSum, comms[0],
                              hansaStreamAsCuda(stream)));
  pause();
  expect_abort(comms[0]);
  EXPECT_REFUSED(ncclRemoteError, hansaStreamSynchronize(stream));
  EXPECT_DONE(hansaStreamDestroy(stream));
  expect_abort(comms[1]);
}

// What is to be aborted stands behind another communicator's operation that does not end, or a callback.
TEST(Abort, WithWorkBehindWhatDoesNotEnd) {
  ncclComm_t stuck[2], comm = nullptr;
  ASSERT_DONE(ncclCommInitAll(stuck, 2, nullptr));
  ASSERT_DONE(ncclCommInitAll(&comm, 1, nullptr));
  hansaStream_t streams[2] = {};
  for (hansaStream_t& stream : streams) ASSERT_DONE(hansaStreamCreate(&stream));
  int value = 0;
  std::atomic<bool> release{false};
  ASSERT_DONE(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, stuck[0], hansaStreamAsCuda(streams[0])));
  ASSERT_DONE(hansaStreamAddCallback(
      streams[1],
      [](void* open) {
        while (!*static_cast<std::atomic<bool>*>(open))
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
      },
      &release));
  for (const hansaStream_t stream : streams)
    ASSERT_DONE(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, hansaStreamAsCuda(stream)));
  pause();
  expect_abort(comm);
  release = true;
  expect_abort(stuck[0]);
  for (const hansaStream_t stream : streams) {
    EXPECT_REFUSED(ncclRemoteError, hansaStreamSynchronize(stream));
    EXPECT_DONE(hansaStreamDestroy(stream));
  }
  expect_abort(stuck[1]);
}

// The group goes on without it.
// Destroy waits for a peer that does not come; abort is how to end that.
TEST(Abort, WhileAnotherThreadDestroys) {
  Ranks ranks(2);
  hansaStream_t stream = nullptr;
  ASSERT_DONE(hansaStreamCreate(&stream));
  std::vector<int> values(9);
  ASSERT_DONE(
      ncclAllReduce(values.data(), values.data(), 9, ncclInt, ncclSum, ranks[0], hansaStreamAsCuda(stream)));
  std::thread destroyer([&] { (void)ncclCommDestroy(ranks[0]); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Stopwatch watch;
  (void)ncclCommAbort(ranks[0]);
  destroyer.join();
  EXPECT_LT(watch.seconds(), kBound);
  EXPECT_EQ(ncclRemoteError, hansaStreamSynchronize(stream));
  EXPECT_DONE(hansaStreamDestroy(stream));
  EXPECT_DONE(ncclCommAbort(ranks[1]));
  ranks.comms = {};
}

TEST(Abort, InAnOpenGroup) {
  ncclComm_t comms[2];
  ASSERT_DONE(ncclCommInitAll(comms, 2, nullptr));
  int value = 0;
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comms[0], nullptr));
  expect_abort(comms[0]);
  EXPECT_DONE(ncclGroupEnd());
  expect_abort(comms[1]);
}

}  // namespace
}  // namespace hansa::test
