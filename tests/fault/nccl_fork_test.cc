// fork(): a child cannot use what it inherited, does not harm the parent, and can start afresh.
#include <thread>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

#define CHECK(condition)                                                                          \
  do {                                                                                            \
    if (!(condition)) {                                                                           \
      std::fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, ncclGetLastError(nullptr)); \
      _exit(1);                                                                                   \
    }                                                                                             \
  } while (false)

bool refused(ncclResult_t result) {
  return result == ncclInvalidUsage &&
         std::string(ncclGetLastError(nullptr)).find("fork") != std::string::npos;
}

// Runs `body` in a child and expects it to end well, soon.
template <class Body>
void expect_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    body();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
}

void expect_sum(ncclComm_t* comms) {
  int values[2] = {1, 2};
  ASSERT_EQ(ncclSuccess, ncclGroupStart());
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(ncclSuccess, ncclAllReduce(&values[i], &values[i], 1, ncclInt, ncclSum, comms[i], nullptr));
  ASSERT_EQ(ncclSuccess, ncclGroupEnd()) << ncclGetLastError(nullptr);
  EXPECT_EQ(3, values[0]);
  EXPECT_EQ(3, values[1]);
}

TEST(Fork, ChildCannotUseWhatItInherited) {
  ncclComm_t comms[2];
  ASSERT_EQ(ncclSuccess, ncclCommInitAll(comms, 2, nullptr)) << ncclGetLastError(nullptr);
  hansaStream_t stream = nullptr;
  ASSERT_EQ(ncclSuccess, hansaStreamCreate(&stream));
  // Pending while the child is made: the other rank comes later.
  int early = 1, late = 2;
  ASSERT_EQ(ncclSuccess,
            ncclAllReduce(&early, &early, 1, ncclInt, ncclSum, comms[0], hansaStreamAsCuda(stream)));
  expect_child([&] {
    int value = 0;
    ncclResult_t state;
    CHECK(refused(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comms[0], nullptr)));
    CHECK(refused(ncclSend(&value, 1, ncclInt, 1, comms[0], nullptr)));
    CHECK(refused(ncclCommUserRank(comms[0], &value)));
    CHECK(refused(ncclCommGetAsyncError(comms[0], &state)));
    CHECK(refused(ncclCommFinalize(comms[0])));
    CHECK(refused(ncclCommDestroy(comms[0])));
    CHECK(refused(ncclCommAbort(comms[1])));
    CHECK(refused(hansaStreamSynchronize(stream)));
    CHECK(refused(hansaStreamQuery(stream)));
    CHECK(refused(hansaStreamDestroy(stream)));
    // Its own are as good as any, and do not touch what the parent has pending.
    ncclComm_t own[2];
    CHECK(ncclCommInitAll(own, 2, nullptr) == ncclSuccess);
    hansaStream_t mine = nullptr;
    CHECK(hansaStreamCreate(&mine) == ncclSuccess);
    int values[2] = {1, 2};
    CHECK(ncclGroupStart() == ncclSuccess);
    for (int i = 0; i < 2; ++i)
      CHECK(ncclAllReduce(&values[i], &values[i], 1, ncclInt, ncclSum, own[i], hansaStreamAsCuda(mine)) ==
            ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    (void)mine;
    for (const ncclComm_t each : own) CHECK(ncclCommAbort(each) == ncclSuccess);
  });
  ASSERT_EQ(ncclSuccess, ncclAllReduce(&late, &late, 1, ncclInt, ncclSum, comms[1], nullptr))
      << ncclGetLastError(nullptr);
  ASSERT_EQ(ncclSuccess, hansaStreamSynchronize(stream)) << ncclGetLastError(nullptr);
  EXPECT_EQ(3, early);
  EXPECT_EQ(3, late);
  expect_sum(comms);
  EXPECT_EQ(ncclSuccess, hansaStreamDestroy(stream));
  for (const ncclComm_t comm : comms) EXPECT_EQ(ncclSuccess, ncclCommDestroy(comm));
}

TEST(Fork, WhatAChildFreesStaysTheParents) {
  constexpr std::size_t kBytes = 1 << 20;
  void* memory = nullptr;
  ASSERT_EQ(ncclSuccess, ncclMemAlloc(&memory, kBytes)) << ncclGetLastError(nullptr);
  std::memset(memory, 7, kBytes);
  expect_child([&] { CHECK(ncclMemFree(memory) == ncclSuccess); });
  const std::vector<unsigned char> sevens(kBytes, 7);
  EXPECT_EQ(0, std::memcmp(memory, sevens.data(), kBytes));
  EXPECT_EQ(ncclSuccess, ncclMemFree(memory));
}

TEST(Fork, ChildCannotEndAnInheritedGroup) {
  ncclComm_t comms[2];
  ASSERT_EQ(ncclSuccess, ncclCommInitAll(comms, 2, nullptr)) << ncclGetLastError(nullptr);
  int values[2] = {1, 2};
  ASSERT_EQ(ncclSuccess, ncclGroupStart());
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(ncclSuccess, ncclAllReduce(&values[i], &values[i], 1, ncclInt, ncclSum, comms[i], nullptr));
  expect_child([] { CHECK(refused(ncclGroupEnd())); });
  ASSERT_EQ(ncclSuccess, ncclGroupEnd()) << ncclGetLastError(nullptr);
  EXPECT_EQ(3, values[0]);
  EXPECT_EQ(3, values[1]);
  for (const ncclComm_t comm : comms) EXPECT_EQ(ncclSuccess, ncclCommDestroy(comm));
}

TEST(Fork, ChildMakesItsOwnWhileTheParentGoesOn) {
  ncclComm_t comms[2];
  ASSERT_EQ(ncclSuccess, ncclCommInitAll(comms, 2, nullptr)) << ncclGetLastError(nullptr);
  for (int i = 0; i < 3; ++i) {
    expect_child([] {
      ncclComm_t own[2];
      CHECK(ncclCommInitAll(own, 2, nullptr) == ncclSuccess);
      expect_sum(own);
      CHECK(!testing::Test::HasFailure());
      for (const ncclComm_t each : own) CHECK(ncclCommDestroy(each) == ncclSuccess);
    });
    expect_sum(comms);
  }
  for (const ncclComm_t comm : comms) EXPECT_EQ(ncclSuccess, ncclCommDestroy(comm));
}

TEST(Fork, IdOfTheParentRanksInChildren) {
  ncclUniqueId id;
  ASSERT_EQ(ncclSuccess, ncclGetUniqueId(&id)) << ncclGetLastError(nullptr);
  std::vector<pid_t> children;
  for (int rank = 0; rank < 3; ++rank) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    alarm(60);
    ncclComm_t comm = nullptr;
    int value = rank;
    CHECK(ncclCommInitRank(&comm, 3, id, rank) == ncclSuccess);
    CHECK(ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr) == ncclSuccess);
    CHECK(value == 3);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    _exit(0);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_EQ(0, status);
  }
}

}  // namespace
}  // namespace hansa::test
