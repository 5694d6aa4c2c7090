// One host of a communicator that is started: start_up HOST HOSTS RANKS_OF_EACH, where all meet at
// NCCL_COMM_ID. Every rank is a thread. Prints how long its slowest rank was inside ncclCommInitRank.
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

struct Rank {
  int number = 0;
  double seconds = 0;
  long long sum = 0;
  bool failed = true;
};

void start(Rank& rank, int ranks) {
  ncclUniqueId id;
  ncclComm_t comm;
  if (ncclGetUniqueId(&id) != ncclSuccess) return;
  const auto begin = std::chrono::steady_clock::now();
  if (ncclCommInitRank(&comm, ranks, id, rank.number) != ncclSuccess) return;
  rank.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const long long mine = rank.number + 1;
  const bool summed = ncclAllReduce(&mine, &rank.sum, 1, ncclInt64, ncclSum, comm, nullptr) == ncclSuccess;
  rank.failed = ncclCommDestroy(comm) != ncclSuccess || !summed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int host = std::atoi(argv[1]), ranks = std::atoi(argv[2]) * std::atoi(argv[3]);
  std::vector<Rank> here(static_cast<std::size_t>(std::atoi(argv[3])));
  std::vector<std::thread> threads;
  for (std::size_t k = 0; k < here.size(); ++k) {
    here[k].number = host * static_cast<int>(here.size()) + static_cast<int>(k);
    threads.emplace_back([&rank = here[k], ranks] { start(rank, ranks); });
  }
  for (std::thread& thread : threads) thread.join();
  double slowest = 0;
  for (const Rank& rank : here) {
    slowest = std::max(slowest, rank.seconds);
    const long long all = 1LL * ranks * (ranks + 1) / 2;
    if (rank.failed || rank.sum != all) {
      std::fprintf(stderr, "rank %d: %s, a sum of %lld, not %lld\n", rank.number, ncclGetLastError(nullptr),
                   rank.sum, all);
      return 1;
    }
  }
  std::printf("%.3f\n", slowest);
  return 0;
}
