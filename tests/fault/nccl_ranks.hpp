// Ranks as threads of this process, through the C interface only.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "hansa/hansa.h"
#include "nccl.h"

namespace hansa::test {

inline std::string last_error(ncclComm_t comm = nullptr) { return ncclGetLastError(comm); }

// The call failed as it should, and said why.
#define EXPECT_REFUSED(wanted, call)                                         \
  do {                                                                       \
    EXPECT_EQ(wanted, (call)) << #call << ": " << ncclGetLastError(nullptr); \
    EXPECT_GE(std::strlen(ncclGetLastError(nullptr)), 8u) << #call;          \
  } while (false)
#define EXPECT_DONE(call) EXPECT_EQ(ncclSuccess, (call)) << #call << ": " << ncclGetLastError(nullptr)
#define ASSERT_DONE(call) ASSERT_EQ(ncclSuccess, (call)) << #call << ": " << ncclGetLastError(nullptr)

inline ncclConfig_t non_blocking() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

// A thread for every element, joined.
template <class T>
void in_threads(std::vector<T>& items, const std::function<void(int, T&)>& body) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < items.size(); ++i)
    threads.emplace_back([&, i] { body(static_cast<int>(i), items[i]); });
  for (std::thread& thread : threads) thread.join();
}

// All ranks of one communicator in this process; those that the test has not set to null are destroyed.
class Ranks {
 public:
  explicit Ranks(int count) : comms(static_cast<std::size_t>(count)) {
    EXPECT_DONE(ncclCommInitAll(comms.data(), count, nullptr));
  }
  ~Ranks() {
    for (const ncclComm_t comm : comms) EXPECT_DONE(ncclCommDestroy(comm));
  }
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  ncclComm_t operator[](int rank) const { return comms[static_cast<std::size_t>(rank)]; }
  int size() const { return static_cast<int>(comms.size()); }
  void each(const std::function<void(int rank, ncclComm_t& comm)>& body) { in_threads(comms, body); }
  // Every rank adds what it knows; the sum is right everywhere.
  void expect_usable() {
    each([this](int rank, ncclComm_t comm) {
      std::vector<int> values(1009, rank + 1);
      EXPECT_DONE(
          ncclAllReduce(values.data(), values.data(), values.size(), ncclInt, ncclSum, comm, nullptr));
      EXPECT_EQ(std::vector<int>(1009, size() * (size() + 1) / 2), values);
    });
  }

  std::vector<ncclComm_t> comms;
};

// Polls until the communicator is neither busy nor, for ten seconds, silent.
inline ncclResult_t settled(ncclComm_t comm) {
  ncclResult_t state = ncclInProgress;
  for (int i = 0; i < 20'000 && state == ncclInProgress; ++i) {
    EXPECT_DONE(ncclCommGetAsyncError(comm, &state));
    if (state == ncclInProgress) std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  return state;
}

// How long a call took. Bounds on it are far above what is promised, for machines that do something else.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

inline constexpr double kBound = 5;

}  // namespace hansa::test
