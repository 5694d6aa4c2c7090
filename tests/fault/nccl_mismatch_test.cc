// Ranks that call differently get an error, not wrong data, and nobody hangs.
#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kMost = 200'003;

struct Mismatch {
  const char* name;
  ncclResult_t (*first)(ncclComm_t comm, int* in, int* out);  // rank 0
  ncclResult_t (*others)(ncclComm_t comm, int* in, int* out);
};

template <std::size_t kCount, ncclDataType_t kType = ncclInt, ncclRedOp_t kOp = ncclSum>
ncclResult_t all_reduce(ncclComm_t c, int* i, int* o) {
  return ncclAllReduce(i, o, kCount, kType, kOp, c, nullptr);
}
template <std::size_t kCount, int kRoot = 0>
ncclResult_t broadcast(ncclComm_t c, int* i, int* o) {
  return ncclBroadcast(i, o, kCount, ncclInt, kRoot, c, nullptr);
}
template <std::size_t kCount>
ncclResult_t all_gather(ncclComm_t c, int* i, int* o) {
  return ncclAllGather(i, o, kCount, ncclInt, c, nullptr);
}
ncclResult_t barrier(ncclComm_t c, int*, int*) { return hansaBarrier(c, nullptr); }

const Mismatch kMismatches[] = {
    {"CountSmall", all_reduce<8>, all_reduce<9>},
    {"CountLarge", all_reduce<200'000>, all_reduce<200'003>},
    {"CountSmallAndLarge", all_reduce<1>, all_reduce<200'003>},
    {"CountZero", all_reduce<0>, all_reduce<100>},
    {"Type", all_reduce<8, ncclInt>, all_reduce<8, ncclFloat>},
    {"TypeLarge", all_reduce<200'000, ncclInt>, all_reduce<200'000, ncclUint32>},
    {"Operator", all_reduce<8, ncclInt, ncclSum>, all_reduce<8, ncclInt, ncclMax>},
    {"OperatorLarge", all_reduce<200'000, ncclInt, ncclSum>, all_reduce<200'000, ncclInt, ncclMax>},
    {"Collective", all_reduce<8>, all_gather<8>},
    {"CollectiveLarge", all_reduce<60'000>, all_gather<60'000>},
    {"Barrier", barrier, all_reduce<1>},
    {"Root", broadcast<8, 0>, broadcast<8, 1>},
    {"BroadcastCount", broadcast<8>, broadcast<9>},
};

class Mismatched : public testing::TestWithParam<std::tuple<Mismatch, int>> {};

TEST_P(Mismatched, IsAnErrorOnAllRanks) {
  const auto& mismatch = std::get<0>(GetParam());
  const auto count = std::get<1>(GetParam());
  std::vector<ncclComm_t> comms(static_cast<std::size_t>(count));
  ASSERT_DONE(ncclCommInitAll(comms.data(), count, nullptr));
  const Stopwatch watch;
  in_threads<ncclComm_t>(comms, [&](int rank, ncclComm_t comm) {
    std::vector<int> in(kMost * 4), out(kMost * 4);
    ncclResult_t result = (rank == 0 ? mismatch.first : mismatch.others)(comm, in.data(), out.data());
    // Who only sends may be done by then; the next meeting tells at the latest.
    if (result == ncclSuccess)
      result = ncclAllReduce(in.data(), out.data(), 100, ncclInt, ncclSum, comm, nullptr);
    EXPECT_EQ(ncclInvalidUsage, result) << "rank " << rank << ": " << last_error();
    EXPECT_GE(last_error().size(), 8u);
    EXPECT_REFUSED(ncclInvalidUsage, hansaBarrier(comm, nullptr));
  });
  EXPECT_LT(watch.seconds(), 2 * kBound);
  for (const ncclComm_t comm : comms) EXPECT_DONE(ncclCommAbort(comm));
}

INSTANTIATE_TEST_SUITE_P(Calls, Mismatched,
                         testing::Combine(testing::ValuesIn(kMismatches), testing::Values(2, 3)),
                         [](const auto& row) {
                           return std::get<0>(row.param).name + std::to_string(std::get<1>(row.param));
                         });

TEST(Mismatched, MessageOfAnotherLength) {
  for (const auto& [sent, expected] : {std::pair{8u, 9u},
                                       {9u, 8u},
                                       {200'003u, 8u},
                                       {8u, 200'003u},
                                       {0u, 1u},
                                       {1u, 0u},
                                       // Whole chunks of 128 KiB, which look alike one by one.
                                       {98'304u, 65'536u},
                                       {65'536u, 98'304u},
                                       {65'536u, 75'000u}}) {
    SCOPED_TRACE(std::to_string(sent) + " for " + std::to_string(expected));
    std::vector<ncclComm_t> comms(2);
    ASSERT_DONE(ncclCommInitAll(comms.data(), 2, nullptr));
    in_threads<ncclComm_t>(comms, [s = sent, e = expected](int rank, ncclComm_t comm) {
      std::vector<int> buffer(kMost);
      ncclResult_t result = rank == 0 ? ncclSend(buffer.data(), s, ncclInt, 1, comm, nullptr)
                                      : ncclRecv(buffer.data(), e, ncclInt, 0, comm, nullptr);
      if (result == ncclSuccess) result = hansaBarrier(comm, nullptr);
      EXPECT_EQ(ncclInvalidUsage, result) << "rank " << rank << ": " << last_error();
    });
    for (const ncclComm_t comm : comms) EXPECT_DONE(ncclCommAbort(comm));
  }
}

}  // namespace
}  // namespace hansa::test
