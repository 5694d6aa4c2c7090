// What goes wrong in groups: told at once, told again at the end, and nothing runs.
#include "nccl_arguments.hpp"

namespace hansa::test {
namespace {

TEST_F(Arguments, GroupEndWithoutStart) {
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclGroupEnd());
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
}

// The good calls around the bad one must not run: rank 1 never comes for them.
TEST_F(Arguments, ErrorInGroupComesBackAtItsEnd) {
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclAllReduce(in, out, 1, ncclInt, ncclSum, comm, nullptr));
  ASSERT_DONE(ncclGroupStart());
  EXPECT_REFUSED(ncclInvalidArgument, ncclSend(in, 1, ncclInt, 7, comm, nullptr));
  EXPECT_DONE(ncclGroupEnd());
  EXPECT_DONE(ncclSend(in, 1, ncclInt, 1, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGroupEnd());
  EXPECT_NE(std::string::npos, last_error().find("peer 7")) << last_error();
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
}

TEST_F(Arguments, InitErrorInGroupComesBackAtItsEnd) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  ncclComm_t made[2] = {};
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclCommInitRank(&made[0], 2, id, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRank(&made[1], 2, id, 2));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGroupEnd());
  EXPECT_EQ(nullptr, made[0]);
  EXPECT_EQ(nullptr, made[1]);
}

TEST_F(Arguments, MessagesToOneselfMustPair) {
  EXPECT_REFUSED(ncclInvalidUsage, ncclSend(in, 1, ncclInt, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidUsage, ncclRecv(in, 1, ncclInt, 0, comm, nullptr));
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclSend(in, 1, ncclInt, 0, comm, nullptr));
  EXPECT_DONE(ncclSend(in, 1, ncclInt, 0, comm, nullptr));
  EXPECT_DONE(ncclRecv(out, 1, ncclInt, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
  // As many, but not as long.
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclSend(in, 3, ncclInt, 0, comm, nullptr));
  EXPECT_DONE(ncclRecv(out, 2, ncclInt, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
  in[0] = 41;
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclRecv(out, 1, ncclInt, 0, comm, nullptr));
  EXPECT_DONE(ncclSend(in, 1, ncclInt, 0, comm, nullptr));
  EXPECT_DONE(ncclGroupEnd());
  EXPECT_EQ(41, out[0]);
}

TEST_F(Arguments, BlockingAndNonBlockingInOneGroup) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t other = nullptr;
  ASSERT_EQ(ncclInProgress, ncclCommInitRankConfig(&other, 1, id, 0, &config));
  ASSERT_EQ(ncclSuccess, settled(other));
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclAllReduce(in, out, 1, ncclInt, ncclSum, comm, nullptr));
  EXPECT_DONE(ncclAllReduce(in, out, 1, ncclInt, ncclSum, other, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGroupEnd());
  EXPECT_DONE(ncclCommDestroy(other));
}

TEST_F(Arguments, NewcomersOfAFailedGroupAreUndone) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  ncclConfig_t foreign = NCCL_CONFIG_INITIALIZER;
  foreign.magic = 0;
  ncclComm_t made[2] = {};
  const Stopwatch watch;
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclCommInitRank(&made[0], 2, id, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRankConfig(&made[1], 2, id, 1, &foreign));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGroupEnd());
  EXPECT_EQ(nullptr, made[0]);
  EXPECT_LT(watch.seconds(), kBound);
}

TEST_F(Arguments, SimulatingAGroupEndsIt) {
  in[0] = 5;
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclAllReduce(in, out, 1, ncclInt, ncclSum, comm, nullptr));
  EXPECT_NE(ncclSuccess, ncclGroupSimulateEnd(nullptr));
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());  // it is not open any more, and nothing of it ran
}

// A send without a stream is done when the group's end returns, whatever else of the group is on a stream.
TEST_F(Arguments, WithAndWithoutAStreamInOneGroup) {
  hansaStream_t stream = nullptr;
  ASSERT_DONE(hansaStreamCreate(&stream));
  constexpr std::size_t kMany = 1 << 20;
  std::vector<int> sent(kMany, 3), received(kMany), back(1, 9), got(1);
  std::thread peer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_DONE(ncclGroupStart());
    EXPECT_DONE(ncclRecv(received.data(), kMany, ncclInt, 0, ranks[1], nullptr));
    EXPECT_DONE(ncclSend(back.data(), 1, ncclInt, 0, ranks[1], nullptr));
    EXPECT_DONE(ncclGroupEnd());
  });
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclSend(sent.data(), kMany, ncclInt, 1, comm, nullptr));
  EXPECT_DONE(ncclRecv(got.data(), 1, ncclInt, 1, comm, hansaStreamAsCuda(stream)));
  ASSERT_DONE(ncclGroupEnd());
  std::fill(sent.begin(), sent.end(), 4);
  peer.join();
  EXPECT_EQ(std::vector<int>(kMany, 3), received);
  EXPECT_DONE(hansaStreamSynchronize(stream));
  EXPECT_EQ(9, got[0]);
  EXPECT_DONE(hansaStreamDestroy(stream));
}

// What a group still needs cannot be taken from under it.
TEST_F(Arguments, DestroyingWhatAnOpenGroupUses) {
  hansaStream_t stream = nullptr;
  ASSERT_DONE(hansaStreamCreate(&stream));
  ncclComm_t one = nullptr;
  ASSERT_DONE(ncclCommInitAll(&one, 1, nullptr));
  in[0] = 17;
  ASSERT_DONE(ncclGroupStart());
  EXPECT_DONE(ncclAllReduce(in, out, 1, ncclInt, ncclSum, one, hansaStreamAsCuda(stream)));
  EXPECT_REFUSED(ncclInvalidUsage, hansaStreamDestroy(stream));
  EXPECT_REFUSED(ncclInvalidUsage, ncclCommDestroy(one));
  EXPECT_REFUSED(ncclInvalidUsage, ncclGroupEnd());
  EXPECT_DONE(hansaStreamDestroy(stream));
  EXPECT_DONE(ncclCommDestroy(one));
}

TEST(Texts, OfResultsAreNeverNull) {
  for (int result = -2; result < 20; ++result) {
    ASSERT_NE(nullptr, ncclGetErrorString(static_cast<ncclResult_t>(result)));
    EXPECT_NE(0u, std::strlen(ncclGetErrorString(static_cast<ncclResult_t>(result))));
  }
  std::thread([] { EXPECT_STREQ("", ncclGetLastError(nullptr)); }).join();
}

}  // namespace
}  // namespace hansa::test
