// One rank that does allreduces until one fails: fault_rank RANK RANKS BYTES, with NCCL_COMM_ID. Prints
// "begin", "ready" once the first are done, "alive" now and then, and how it ended; with each word the time
// by CLOCK_MONOTONIC in nanoseconds.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "nccl.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarm = 3;
constexpr std::chrono::milliseconds kHeartbeat{300};

// One write, so that nobody reads half a line.
void say(const char* what, const char* why = "") {
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch());
  std::printf("%s %lld %s\n", what, static_cast<long long>(now.count()), why);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int rank = std::atoi(argv[1]), ranks = std::atoi(argv[2]);
  const std::size_t count = std::strtoull(argv[3], nullptr, 10) / sizeof(std::int64_t);
  say("begin");
  ncclUniqueId id;
  ncclComm_t comm = nullptr;
  if (ncclGetUniqueId(&id) != ncclSuccess || ncclCommInitRank(&comm, ranks, id, rank) != ncclSuccess) {
    say("absent", ncclGetLastError(nullptr));
    return 1;
  }
  const std::vector<std::int64_t> in(count, rank + 1);
  std::vector<std::int64_t> out(count);
  auto said = Clock::now();
  for (int done = 0;; ++done) {
    if (done == kWarm) say("ready");
    if (ncclAllReduce(in.data(), out.data(), count, ncclInt64, ncclSum, comm, nullptr) != ncclSuccess) break;
    if (Clock::now() - said > kHeartbeat) {
      say("alive");
      said = Clock::now();
    }
    for (const std::int64_t value : out)
      if (value != ranks * (ranks + 1) / 2) {
        say("wrong", "sum");
        return 1;
      }
  }
  say("ended", ncclGetLastError(comm));
  return ncclCommAbort(comm) == ncclSuccess ? 0 : 1;
}
