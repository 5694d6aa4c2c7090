// What a communicator allows in each of its states, and host streams.
#include <atomic>
#include <mutex>

#include "core/life_cycle.hpp"
#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

// A communicator in a given state; of two ranks, the second never comes where the first is to stay
// connecting.
class InState : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  State state() const { return static_cast<State>(std::get<0>(GetParam())); }
  Action action() const { return static_cast<Action>(std::get<1>(GetParam())); }

  void reach() {
    if (state() == State::kConnecting) {
      ncclUniqueId id;
      EXPECT_DONE(ncclGetUniqueId(&id));
      ncclConfig_t config = non_blocking();
      EXPECT_EQ(ncclInProgress, ncclCommInitRankConfig(&comms_[0], 2, id, 0, &config));
      return;
    }
    EXPECT_DONE(ncclCommInitAll(comms_, 2, nullptr));
    if (state() == State::kFinalizing) {
      EXPECT_DONE(ncclCommFinalize(comms_[0]));
    }
    if (state() == State::kRevoked) {
      EXPECT_DONE(ncclCommRevoke(comms_[0], NCCL_REVOKE_DEFAULT));
    }
    if (state() == State::kFailed) {
      EXPECT_DONE(ncclCommRevoke(comms_[1], NCCL_REVOKE_DEFAULT));
      EXPECT_EQ(ncclRemoteError, when_failed());
    }
  }
  ~InState() override {
    for (const ncclComm_t comm : comms_) EXPECT_DONE(ncclCommAbort(comm));
  }
  ncclResult_t when_failed() {
    ncclResult_t result = ncclSuccess;
    for (int i = 0; i < 10'000 && result == ncclSuccess; ++i) {
      EXPECT_DONE(ncclCommGetAsyncError(comms_[0], &result));
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
    return result;
  }
  // Both ranks together, where the action is collective and allowed.
  ncclResult_t split() {
    ncclComm_t child[2] = {};
    if (!allowed(state(), Action::kSplit)) return ncclCommSplit(comms_[0], 0, 0, &child[0], nullptr);
    EXPECT_DONE(ncclGroupStart());
    for (int i = 0; i < 2; ++i) EXPECT_DONE(ncclCommSplit(comms_[i], 0, 0, &child[i], nullptr));
    const ncclResult_t result = ncclGroupEnd();
    for (const ncclComm_t each : child) EXPECT_DONE(ncclCommDestroy(each));
    return result;
  }
  ncclResult_t shrink() {
    int other = 1;
    ncclComm_t child = nullptr;
    const ncclResult_t result = ncclCommShrink(comms_[0], &other, 1, &child, nullptr, NCCL_SHRINK_DEFAULT);
    EXPECT_DONE(ncclCommDestroy(child));
    return result;
  }

  // Does what is possible without the other rank.
  ncclResult_t act() {
    int value = 1, rank = -1;
    ncclRedOp_t op = ncclSum;
    switch (action()) {
      case Action::kOperate: {
        const ncclResult_t made =
            ncclRedOpCreatePreMulSum(&op, &value, ncclInt, ncclScalarHostImmediate, comms_[0]);
        const ncclResult_t empty = ncclAllReduce(&value, &value, 0, ncclInt, ncclSum, comms_[0], nullptr);
        EXPECT_EQ(made, empty);
        return made;
      }
      case Action::kQuery:
        return ncclCommUserRank(comms_[0], &rank);
      case Action::kSplit:
        return split();
      case Action::kShrink:
        return shrink();
      case Action::kGrow: {
        ncclUniqueId id;
        return ncclCommGetUniqueId(comms_[0], &id);
      }
      case Action::kRevoke:
        return ncclCommRevoke(comms_[0], NCCL_REVOKE_DEFAULT);
      case Action::kFinalize:
        return ncclCommFinalize(comms_[0]);
      case Action::kDestroy:
        return ncclCommDestroy(std::exchange(comms_[0], nullptr));
      case Action::kAbort:
        return ncclCommAbort(std::exchange(comms_[0], nullptr));
    }
    return ncclInternalError;
  }

  ncclComm_t comms_[2] = {};
};

TEST_P(InState, FollowsTheTable) {
  reach();
  const Stopwatch watch;
  ncclResult_t result = ncclSuccess;
  std::string text;
  std::thread([&] {
    result = act();
    text = last_error();  // this thread's only one
  }).join();
  EXPECT_LT(watch.seconds(), kBound);
  const ncclResult_t refusal = state() == State::kFailed    ? ncclRemoteError
                               : state() == State::kRevoked ? ncclInvalidUsage
                                                            : ncclInvalidArgument;
  EXPECT_EQ(allowed(state(), action()) ? ncclSuccess : refusal, result) << text;
  EXPECT_EQ(result == ncclSuccess, text.empty()) << text;
}

INSTANTIATE_TEST_SUITE_P(LifeCycle, InState,
                         testing::Combine(testing::Range(0, kStates), testing::Range(0, kActions)));

TEST(NonBlocking, ConnectsAndWorksInTheBackground) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  std::vector<ncclComm_t> comms(3);
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t& comm) {
    ncclConfig_t config = non_blocking();
    ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 3, id, rank, &config));
    ASSERT_NE(nullptr, comm);
    ASSERT_EQ(ncclSuccess, settled(comm)) << last_error(comm);
    std::vector<int> values(100003, rank);
    const ncclResult_t started =
        ncclAllReduce(values.data(), values.data(), values.size(), ncclInt, ncclSum, comm, nullptr);
    EXPECT_TRUE(started == ncclSuccess || started == ncclInProgress) << last_error();
    EXPECT_EQ(ncclSuccess, settled(comm)) << last_error(comm);
    EXPECT_EQ(std::vector<int>(100003, 3), values);
    EXPECT_DONE(ncclCommFinalize(comm));
    EXPECT_EQ(ncclSuccess, settled(comm));
    EXPECT_DONE(ncclCommDestroy(comm));
  });
}

// What cannot even begin is told, and by nothing but the asynchronous error or the call.
TEST(NonBlocking, UnpairedMessageToOneself) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  ncclConfig_t config = non_blocking();
  ncclComm_t comm = nullptr;
  ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&comm, 1, id, 0, &config));
  ASSERT_EQ(ncclSuccess, settled(comm));
  int value = 0;
  EXPECT_REFUSED(ncclInvalidUsage, ncclSend(&value, 1, ncclInt, 0, comm, nullptr));
  EXPECT_EQ(ncclSuccess, settled(comm));
  EXPECT_DONE(ncclCommDestroy(comm));
}

// Rank 1 is done; rank 0 makes one call more.
TEST(Communicators, ARankThatHasLeftIsNotWaitedFor) {
  for (const int count : {2, 3}) {
    Ranks ranks(count);
    ranks.expect_usable();
    EXPECT_DONE(ncclCommDestroy(ranks.comms[1]));
    ranks.comms[1] = nullptr;
    const Stopwatch watch;
    ranks.each([](int rank, ncclComm_t comm) {
      if (rank == 1) return;
      EXPECT_EQ(ncclRemoteError, hansaBarrier(comm, nullptr));
      EXPECT_NE(std::string::npos, last_error(comm).find("rank 1 has left")) << last_error(comm);
    });
    EXPECT_LT(watch.seconds(), 2 * kBound);
  }
}

TEST(Communicators, OneThreadForAll) {
  Ranks first(3), second(2);
  std::vector<std::vector<int>> values(5, std::vector<int>(1009));
  ASSERT_DONE(ncclGroupStart());
  for (int i = 0; i < 5; ++i) {
    auto& mine = values[static_cast<std::size_t>(i)];
    mine.assign(mine.size(), i + 1);
    EXPECT_DONE(ncclAllReduce(mine.data(), mine.data(), mine.size(), ncclInt, ncclSum,
                              i < 3 ? first[i] : second[i - 3], nullptr));
  }
  EXPECT_DONE(ncclGroupEnd());
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(std::vector<int>(1009, i < 3 ? 6 : 9), values[i]);
}

TEST(Communicators, SeveralThreadsWithSeveralEach) {
  Ranks first(2), second(2);
  first.each([&](int rank, ncclComm_t comm) {
    for (int i = 0; i < 50; ++i) {
      int values[2] = {1, 10};
      EXPECT_DONE(ncclAllReduce(&values[0], &values[0], 1, ncclInt, ncclSum, comm, nullptr));
      EXPECT_DONE(ncclAllReduce(&values[1], &values[1], 1, ncclInt, ncclSum, second[rank], nullptr));
      EXPECT_EQ(2, values[0]);
      EXPECT_EQ(20, values[1]);
    }
  });
}

class Streams : public testing::Test {
 protected:
  Streams() {
    for (hansaStream_t& stream : streams) EXPECT_DONE(hansaStreamCreate(&stream));
  }
  ~Streams() override {
    for (const hansaStream_t stream : streams) EXPECT_DONE(hansaStreamDestroy(stream));
  }
  hansaStream_t streams[2] = {};
};

TEST_F(Streams, KeepTheirOrder) {
  struct Note {
    std::vector<int>* list;
    int number;
  };
  std::vector<int> list;
  std::vector<Note> notes;
  for (int i = 0; i < 20; ++i) notes.push_back({&list, i});
  for (Note& note : notes)
    ASSERT_DONE(hansaStreamAddCallback(
        streams[0],
        [](void* argument) {
          auto* const each = static_cast<Note*>(argument);
          each->list->push_back(each->number);
        },
        &note));
  ASSERT_DONE(hansaStreamSynchronize(streams[0]));
  ASSERT_EQ(20u, list.size());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(i, list[static_cast<std::size_t>(i)]);
  EXPECT_DONE(hansaStreamQuery(streams[0]));
}

// A callback holds up its own stream only.
TEST_F(Streams, DoNotHoldUpEachOther) {
  std::mutex gate;
  gate.lock();
  ASSERT_DONE(hansaStreamAddCallback(
      streams[0],
      [](void* mutex) {
        static_cast<std::mutex*>(mutex)->lock();
        static_cast<std::mutex*>(mutex)->unlock();
      },
      &gate));
  EXPECT_EQ(ncclInProgress, hansaStreamQuery(streams[0]));
  {
    Ranks one(1);
    int value = 4;
    EXPECT_DONE(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, one[0], hansaStreamAsCuda(streams[1])));
    EXPECT_DONE(hansaStreamSynchronize(streams[1]));
  }
  EXPECT_EQ(ncclInProgress, hansaStreamQuery(streams[0]));
  gate.unlock();
  EXPECT_DONE(hansaStreamSynchronize(streams[0]));
}

TEST_F(Streams, TellOfAFailureOnceAndGoOn) {
  std::vector<ncclComm_t> comms(2);
  ASSERT_DONE(ncclCommInitAll(comms.data(), 2, nullptr));
  int value = 0;
  std::atomic<int> called{0};
  ASSERT_DONE(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comms[0], hansaStreamAsCuda(streams[0])));
  ASSERT_DONE(hansaStreamAddCallback(
      streams[0], [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &called));
  ASSERT_DONE(ncclCommAbort(comms[1]));
  EXPECT_REFUSED(ncclRemoteError, hansaStreamSynchronize(streams[0]));
  EXPECT_EQ(1, called);
  EXPECT_DONE(hansaStreamQuery(streams[0]));
  EXPECT_DONE(ncclCommAbort(comms[0]));
}

// Operations of one communicator on two streams run in the order of the calls.
TEST_F(Streams, OfOneCommunicator) {
  Ranks ranks(2);
  std::vector<std::vector<int>> values(2, std::vector<int>(10007, 1));
  std::vector<hansaStream_t> other(2);
  for (hansaStream_t& stream : other) ASSERT_DONE(hansaStreamCreate(&stream));
  ranks.each([&](int rank, ncclComm_t comm) {
    auto& mine = values[static_cast<std::size_t>(rank)];
    for (int i = 0; i < 6; ++i)
      EXPECT_DONE(ncclAllReduce(
          mine.data(), mine.data(), mine.size(), ncclInt, ncclSum, comm,
          hansaStreamAsCuda((i + rank) % 2 == 0 ? streams[rank] : other[static_cast<std::size_t>(rank)])));
    // And one that waits, behind those.
    EXPECT_DONE(ncclAllReduce(mine.data(), mine.data(), mine.size(), ncclInt, ncclSum, comm, nullptr));
    EXPECT_EQ(std::vector<int>(10007, 128), mine);
  });
  for (const hansaStream_t stream : other) EXPECT_DONE(hansaStreamDestroy(stream));
}

}  // namespace
}  // namespace hansa::test
