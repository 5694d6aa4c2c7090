// A rank that has returned from its call and does something else must not hold up the others: what it
// committed leaves without it. Over a fabric that moves only when asked to.
#include <atomic>
#include <cstdlib>

#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

// Waits for the flag as a program would that has nothing to do with the library.
bool seen(const std::atomic<bool>& flag) {
  const Stopwatch watch;
  while (!flag.load() && watch.seconds() < 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return flag.load();
}

class IdleRank : public testing::Test {
 public:
  static void SetUpTestSuite() { setenv("HANSA_TRANSPORT", "libfabric", 1); }
};

// The first message also has to bring up the connection; the last one is more than a socket takes at once.
TEST_F(IdleRank, WhatItSentArrives) {
  for (const std::size_t elements : {1, 5'000, 60'000, 100'000}) {
    Ranks ranks(2);
    std::atomic<bool> received{false};
    ranks.each([&](int rank, ncclComm_t comm) {
      std::vector<int> values(elements, rank);
      if (rank == 0) {
        EXPECT_DONE(ncclSend(values.data(), values.size(), ncclInt, 1, comm, nullptr));
        EXPECT_TRUE(seen(received));
      } else {
        EXPECT_DONE(ncclRecv(values.data(), values.size(), ncclInt, 0, comm, nullptr));
        EXPECT_EQ(std::vector<int>(elements, 0), values);
        received = true;
      }
    });
  }
}

// Destroying takes as long as what was sent needs to leave.
TEST_F(IdleRank, WhatItSentBeforeItLeftArrives) {
  Ranks ranks(2);
  ranks.each([&](int rank, ncclComm_t& comm) {
    std::vector<int> values(1000, rank);
    if (rank == 0) {
      EXPECT_DONE(ncclSend(values.data(), values.size(), ncclInt, 1, comm, nullptr));
      EXPECT_DONE(ncclCommDestroy(comm));
      comm = nullptr;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      EXPECT_DONE(ncclRecv(values.data(), values.size(), ncclInt, 0, comm, nullptr));
      EXPECT_EQ(std::vector<int>(1000, 0), values);
    }
  });
}

// Rank 0 waits in the second communicator for a rank that still needs bytes of the first.
TEST_F(IdleRank, WhatItSentArrivesWhileItWaitsElsewhere) {
  Ranks first(2), second(2);
  first.each([&](int rank, ncclComm_t comm) {
    std::vector<int> values(1, rank + 1);
    if (rank == 0)
      EXPECT_DONE(ncclSend(values.data(), values.size(), ncclInt, 1, comm, nullptr));
    else
      EXPECT_DONE(ncclRecv(values.data(), values.size(), ncclInt, 0, comm, nullptr));
    EXPECT_DONE(
        ncclAllReduce(values.data(), values.data(), values.size(), ncclInt, ncclSum, second[rank], nullptr));
    EXPECT_EQ(std::vector<int>(1, 2), values);
  });
}

}  // namespace
}  // namespace hansa::test
