// Bad arguments: every one is refused with its result and a text, nothing runs, and the communicator goes on.
#include "nccl_arguments.hpp"

#include <cstdint>
#include <limits>

namespace hansa::test {
namespace {

template <class T>
T* somewhere(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

TEST_F(Arguments, NullPointers) {
  ncclUniqueId id{};
  EXPECT_REFUSED(ncclInvalidArgument, ncclGetVersion(nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGetUniqueId(nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclMemAlloc(nullptr, 8));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRank(nullptr, 1, id, 0));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRankConfig(nullptr, 1, id, 0, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitAll(nullptr, 1, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGetAsyncError(comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommCount(comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommUserRank(comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommCuDevice(comm, nullptr));
  float scalar = 1;
  ncclRedOp_t op = ncclSum;
  EXPECT_REFUSED(ncclInvalidArgument,
                 ncclRedOpCreatePreMulSum(nullptr, &scalar, ncclFloat, ncclScalarDevice, comm));
  EXPECT_REFUSED(ncclInvalidArgument,
                 ncclRedOpCreatePreMulSum(&op, nullptr, ncclFloat, ncclScalarDevice, comm));
  EXPECT_REFUSED(ncclInvalidArgument, hansaVersion(nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, hansaStreamCreate(nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, hansaStreamQuery(nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, hansaStreamSynchronize(nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, hansaStreamAddCallback(
                                          nullptr, [](void*) {}, nullptr));
}

TEST_F(Arguments, NullBuffers) {
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(nullptr, out, kCount, ncclInt, ncclSum, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, nullptr, kCount, ncclInt, ncclSum, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclReduce(nullptr, out, kCount, ncclInt, ncclSum, 1, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclReduce(in, nullptr, kCount, ncclInt, ncclSum, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclBroadcast(nullptr, out, kCount, ncclInt, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclBroadcast(in, nullptr, kCount, ncclInt, 1, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclBcast(nullptr, kCount, ncclInt, 1, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 ncclReduceScatter(nullptr, out, kCount, ncclInt, ncclSum, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllGather(in, nullptr, kCount, ncclInt, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAlltoAll(in, nullptr, kCount, ncclInt, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGather(in, nullptr, kCount, ncclInt, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclScatter(nullptr, out, kCount, ncclInt, 0, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclSend(nullptr, kCount, ncclInt, 1, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclRecv(nullptr, kCount, ncclInt, 1, comm, nullptr));
}

TEST_F(Arguments, NullTables) {
  const std::size_t counts[] = {kCount, kCount}, offsets[] = {0, kCount};
  EXPECT_REFUSED(ncclInvalidArgument,
                 hansaAllGatherV(in, kCount, out, nullptr, nullptr, ncclInt, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 hansaAllGatherV(in, kCount + 1, out, counts, nullptr, ncclInt, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, hansaReduceScatterV(in, out, nullptr, ncclInt, ncclSum, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 hansaReduceScatterV(in, nullptr, counts, ncclInt, ncclSum, comm, nullptr));
  for (int missing = 0; missing < 4; ++missing)
    EXPECT_REFUSED(ncclInvalidArgument,
                   hansaAllToAllV(in, missing == 0 ? nullptr : counts, missing == 1 ? nullptr : offsets, out,
                                  missing == 2 ? nullptr : counts, missing == 3 ? nullptr : offsets, ncclInt,
                                  comm, nullptr));
}

TEST_F(Arguments, NullIsNothingToFree) {
  EXPECT_DONE(ncclCommFinalize(nullptr));
  EXPECT_DONE(ncclCommDestroy(nullptr));
  EXPECT_DONE(ncclCommAbort(nullptr));
  EXPECT_DONE(ncclMemFree(nullptr));
  EXPECT_DONE(hansaStreamDestroy(nullptr));
}

TEST_F(Arguments, RanksRootsAndPeers) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  const int wrong[][2] = {{0, 0}, {-1, 0}, {1, 1}, {2, -1}, {2, 2}, {std::numeric_limits<int>::min(), 0}};
  for (const auto& [count, rank] : wrong) {
    auto made = somewhere<ncclComm>(8);
    EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRank(&made, count, id, rank));
    EXPECT_EQ(nullptr, made);
  }
  ncclComm_t two[2] = {};
  const int negative[] = {0, -1}, twice[] = {3, 3};
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitAll(two, -1, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitAll(two, 2, negative));
  EXPECT_REFUSED(ncclInvalidUsage, ncclCommInitAll(two, 2, twice));
  for (const int bad : {-1, 2, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
    EXPECT_REFUSED(ncclInvalidArgument, ncclReduce(in, out, kCount, ncclInt, ncclSum, bad, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclBroadcast(in, out, kCount, ncclInt, bad, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclBcast(in, kCount, ncclInt, bad, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclGather(in, out, kCount, ncclInt, bad, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclScatter(in, out, kCount, ncclInt, bad, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclSend(in, kCount, ncclInt, bad, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclRecv(in, kCount, ncclInt, bad, comm, nullptr));
  }
}

TEST_F(Arguments, IdsThatNobodyMade) {
  for (const unsigned char fill : {0, 0xff, 0x5a}) {
    ncclUniqueId id;
    std::memset(&id, fill, sizeof id);
    auto made = somewhere<ncclComm>(8);
    EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRank(&made, 2, id, 0));
    EXPECT_EQ(nullptr, made);
  }
}

TEST_F(Arguments, Configs) {
  ncclUniqueId id;
  ASSERT_DONE(ncclGetUniqueId(&id));
  for (int which = 0; which < 2; ++which) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    if (which == 0) config.magic = 0;
    if (which == 1) config.blocking = 2;
    auto made = somewhere<ncclComm>(8);
    EXPECT_REFUSED(ncclInvalidArgument, ncclCommInitRankConfig(&made, 1, id, 0, &config));
    EXPECT_EQ(nullptr, made);
  }
}

// Every call that takes a communicator, with one that is none.
void expect_foreign(ncclComm_t foreign, int* in, int* out) {
  int number = 0;
  ncclResult_t state = ncclSuccess;
  ncclRedOp_t op = ncclSum;
  const std::size_t counts[] = {1, 1}, offsets[] = {0, 1};
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommFinalize(foreign));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommDestroy(foreign));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommAbort(foreign));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommGetAsyncError(foreign, &state));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommCount(foreign, &number));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommUserRank(foreign, &number));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommCuDevice(foreign, &number));
  EXPECT_REFUSED(ncclInvalidArgument,
                 ncclRedOpCreatePreMulSum(&op, &number, ncclInt, ncclScalarDevice, foreign));
  EXPECT_REFUSED(ncclInvalidArgument, ncclRedOpDestroy(op, foreign));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, 1, ncclInt, ncclSum, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclReduce(in, out, 1, ncclInt, ncclSum, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclBroadcast(in, out, 1, ncclInt, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclBcast(in, 1, ncclInt, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclReduceScatter(in, out, 1, ncclInt, ncclSum, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllGather(in, out, 1, ncclInt, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAlltoAll(in, out, 1, ncclInt, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclGather(in, out, 1, ncclInt, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclScatter(in, out, 1, ncclInt, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclSend(in, 1, ncclInt, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclRecv(in, 1, ncclInt, 0, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 hansaAllGatherV(in, 1, out, counts, nullptr, ncclInt, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 hansaReduceScatterV(in, out, counts, ncclInt, ncclSum, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 hansaAllToAllV(in, counts, offsets, out, counts, offsets, ncclInt, foreign, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, hansaBarrier(foreign, nullptr));
}

TEST_F(Arguments, ForeignCommunicators) {
  hansaStream_t stream = nullptr;
  ASSERT_DONE(hansaStreamCreate(&stream));
  const auto own = reinterpret_cast<std::uintptr_t>(comm);
  const std::uintptr_t addresses[] = {1,
                                      8,
                                      0xdeadbeef,
                                      std::numeric_limits<std::uintptr_t>::max(),
                                      own + 1,
                                      own + 8,
                                      own - 64 * 1000,
                                      reinterpret_cast<std::uintptr_t>(in),
                                      reinterpret_cast<std::uintptr_t>(stream)};
  for (const std::uintptr_t address : addresses) {
    SCOPED_TRACE(address - own);
    expect_foreign(somewhere<ncclComm>(address), in, out);
  }
  EXPECT_DONE(hansaStreamDestroy(stream));
}

TEST_F(Arguments, DestroyedHandles) {
  for (const auto end : {ncclCommDestroy, ncclCommAbort}) {
    ncclComm_t gone = nullptr;
    ASSERT_DONE(ncclCommInitAll(&gone, 1, nullptr));
    EXPECT_DONE(end(gone));
    expect_foreign(gone, in, out);
  }
  expect_foreign(nullptr == comm ? comm : somewhere<ncclComm>(16), in, out);
  ncclComm_t finalized = nullptr;
  ASSERT_DONE(ncclCommInitAll(&finalized, 1, nullptr));
  EXPECT_DONE(ncclCommFinalize(finalized));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommFinalize(finalized));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, 1, ncclInt, ncclSum, finalized, nullptr));
  EXPECT_DONE(ncclCommDestroy(finalized));
}

TEST_F(Arguments, ForeignStreamsAndMemory) {
  hansaStream_t gone = nullptr;
  ASSERT_DONE(hansaStreamCreate(&gone));
  ASSERT_DONE(hansaStreamDestroy(gone));
  EXPECT_REFUSED(ncclInvalidArgument, hansaStreamDestroy(gone));
  for (hansaStream_t stream : {gone, somewhere<hansaStream>(1), somewhere<hansaStream>(0xdeadbeef),
                               somewhere<hansaStream>(reinterpret_cast<std::uintptr_t>(comm))}) {
    EXPECT_REFUSED(ncclInvalidArgument,
                   ncclAllReduce(in, out, 1, ncclInt, ncclSum, comm, hansaStreamAsCuda(stream)));
    EXPECT_REFUSED(ncclInvalidArgument, ncclSend(in, 1, ncclInt, 1, comm, hansaStreamAsCuda(stream)));
    EXPECT_REFUSED(ncclInvalidArgument, hansaBarrier(comm, hansaStreamAsCuda(stream)));
    EXPECT_REFUSED(ncclInvalidArgument, hansaStreamQuery(stream));
    EXPECT_REFUSED(ncclInvalidArgument, hansaStreamSynchronize(stream));
    EXPECT_REFUSED(ncclInvalidArgument, hansaStreamAddCallback(
                                            stream, [](void*) {}, nullptr));
  }
  EXPECT_REFUSED(ncclInvalidArgument, ncclMemFree(in));
  void* memory = nullptr;
  ASSERT_DONE(ncclMemAlloc(&memory, 100));
  EXPECT_REFUSED(ncclInvalidArgument, ncclMemFree(static_cast<char*>(memory) + 1));
  EXPECT_DONE(ncclMemFree(memory));
  EXPECT_REFUSED(ncclInvalidArgument, ncclMemFree(memory));
  EXPECT_REFUSED(ncclSystemError, ncclMemAlloc(&memory, std::size_t{1} << 62));
  EXPECT_EQ(nullptr, memory);
}

// Buffers of rank 0 and rank 1 in one array; `at` is where the other buffer starts, seen from the first.
TEST_F(Arguments, OverlappingBuffers) {
  const auto overlap = [&](int* send, int* receive) {
    EXPECT_REFUSED(ncclInvalidArgument,
                   ncclAllReduce(send, receive, kCount, ncclInt, ncclSum, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument,
                   ncclReduce(send, receive, kCount, ncclInt, ncclSum, 0, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclBroadcast(send, receive, kCount, ncclInt, 0, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument,
                   ncclReduceScatter(send, receive, kCount, ncclInt, ncclSum, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclAllGather(send, receive, kCount, ncclInt, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclAlltoAll(send, receive, kCount, ncclInt, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclGather(send, receive, kCount, ncclInt, 0, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclScatter(send, receive, kCount, ncclInt, 0, comm, nullptr));
  };
  overlap(in, in + 1);
  overlap(in + 1, in);
  overlap(in + kCount - 1, in);
  EXPECT_REFUSED(ncclInvalidArgument, ncclAlltoAll(in, in, kCount, ncclInt, comm, nullptr));
  // Rank 1's place, not this rank's.
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllGather(in + kCount, in, kCount, ncclInt, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument,
                 ncclReduceScatter(in, in + kCount, kCount, ncclInt, ncclSum, comm, nullptr));
}

TEST_F(Arguments, OverlappingBuffersOfUnevenCollectives) {
  const std::size_t counts[] = {kCount, kCount}, offsets[] = {0, kCount};
  for (int* receive : {in + 1, in + kCount - 1})
    EXPECT_REFUSED(ncclInvalidArgument,
                   hansaReduceScatterV(in, receive, counts, ncclInt, ncclSum, comm, nullptr));
  for (int* send : {in + 1, in + kCount, in + 2 * kCount - 1})
    EXPECT_REFUSED(ncclInvalidArgument,
                   hansaAllGatherV(send, kCount, in, counts, offsets, ncclInt, comm, nullptr));
  for (int* receive : {in, in + 1, in + 2 * kCount - 1})
    EXPECT_REFUSED(ncclInvalidArgument,
                   hansaAllToAllV(in, counts, offsets, receive, counts, offsets, ncclInt, comm, nullptr));
}

// Blocks of both buffers between each other in one array do not overlap; in place where it is allowed.
TEST_F(Arguments, LegalNeighboursAndPlaces) {
  ranks.each([](int rank, ncclComm_t each) {
    std::vector<int> memory(4 * kCount, 1);
    int* const all = memory.data();
    int* const own = all + static_cast<std::size_t>(rank) * kCount;
    EXPECT_DONE(ncclAllGather(own, all, kCount, ncclInt, each, nullptr));
    EXPECT_DONE(ncclReduceScatter(all, own, kCount, ncclInt, ncclSum, each, nullptr));
    EXPECT_DONE(ncclGather(all + kCount, rank == 1 ? all : nullptr, kCount, ncclInt, 1, each, nullptr));
    EXPECT_DONE(ncclScatter(rank == 1 ? all : nullptr, all + kCount, kCount, ncclInt, 1, each, nullptr));
    EXPECT_DONE(ncclAllReduce(all, all, kCount, ncclInt, ncclSum, each, nullptr));
    EXPECT_DONE(ncclAllReduce(all, all + kCount, kCount, ncclInt, ncclSum, each, nullptr));
    const std::size_t counts[] = {kCount, kCount}, even[] = {0, 2 * kCount}, odd[] = {kCount, 3 * kCount};
    EXPECT_DONE(hansaAllToAllV(all, counts, even, all, counts, odd, ncclInt, each, nullptr));
    EXPECT_DONE(hansaAllGatherV(own, kCount, all, counts, nullptr, ncclInt, each, nullptr));
    EXPECT_DONE(hansaReduceScatterV(all, own, counts, ncclInt, ncclSum, each, nullptr));
  });
}

TEST_F(Arguments, AbsurdCounts) {
  for (const std::size_t absurd :
       {std::numeric_limits<std::size_t>::max(), std::size_t{1} << 62, std::size_t{1} << 61}) {
    EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, absurd, ncclInt, ncclSum, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclAllGather(in, out, absurd, ncclInt, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclAlltoAll(in, out, absurd, ncclInt, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclSend(in, absurd, ncclInt, 1, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclRecv(in, absurd, ncclInt, 1, comm, nullptr));
    const std::size_t counts[] = {1, absurd}, offsets[] = {0, 1}, small[] = {1, 1}, far[] = {0, absurd};
    EXPECT_REFUSED(ncclInvalidArgument, hansaAllGatherV(in, 1, out, counts, nullptr, ncclInt, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, hansaAllGatherV(in, 1, out, small, far, ncclInt, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument,
                   hansaReduceScatterV(in, out, counts, ncclInt, ncclSum, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument,
                   hansaAllToAllV(in, counts, offsets, out, small, offsets, ncclInt, comm, nullptr));
  }
  // Each alone is possible, together they are not.
  const std::size_t half = std::size_t{1} << 60, halves[] = {half, half};
  EXPECT_REFUSED(ncclInvalidArgument, hansaReduceScatterV(in, out, halves, ncclInt, ncclSum, comm, nullptr));
}

TEST_F(Arguments, TypesAndOperators) {
  for (const int bad : {-1, 12, 1000}) {
    const auto type = static_cast<ncclDataType_t>(bad);
    ncclRedOp_t op = ncclSum;
    EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, 1, type, ncclSum, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclSend(in, 1, type, 1, comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclRedOpCreatePreMulSum(&op, in, type, ncclScalarDevice, comm));
  }
  for (const int bad : {-1, 5, 6, 1000, static_cast<int>(ncclMaxRedOp)}) {
    EXPECT_REFUSED(ncclInvalidArgument,
                   ncclAllReduce(in, out, 1, ncclInt, static_cast<ncclRedOp_t>(bad), comm, nullptr));
    EXPECT_REFUSED(ncclInvalidArgument, ncclRedOpDestroy(static_cast<ncclRedOp_t>(bad), comm));
  }
  EXPECT_REFUSED(ncclInvalidArgument, ncclRedOpDestroy(ncclSum, comm));
  ncclRedOp_t op = ncclSum;
  EXPECT_REFUSED(ncclInvalidArgument,
                 ncclRedOpCreatePreMulSum(&op, in, ncclInt, static_cast<ncclScalarResidence_t>(7), comm));
  ASSERT_DONE(ncclRedOpCreatePreMulSum(&op, in, ncclInt, ncclScalarHostImmediate, comm));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, 1, ncclFloat, op, comm, nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, 1, ncclInt, op, ranks[1], nullptr));
  EXPECT_REFUSED(ncclInvalidArgument, ncclRedOpDestroy(op, ranks[1]));
  EXPECT_DONE(ncclRedOpDestroy(op, comm));
  EXPECT_REFUSED(ncclInvalidArgument, ncclRedOpDestroy(op, comm));
  EXPECT_REFUSED(ncclInvalidArgument, ncclAllReduce(in, out, 1, ncclInt, op, comm, nullptr));
}

}  // namespace
}  // namespace hansa::test
