// One of two ranks that move data whenever they are told to: rails_rank RANK BYTES, with NCCL_COMM_ID. For
// each line on its input it does what that says, "exchange" (each sends the other so many bytes) or
// "allreduce" (of as many), over data that are other ones at every place and every time, and answers "begun"
// and "done", or what was wrong.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "nccl.h"

namespace {

constexpr int kRanks = 2;

// What a rank brings, at the place `at` of its operation of that number.
std::uint64_t value(int rank, std::uint64_t number, std::size_t at) {
  std::uint64_t h = (number * kRanks + static_cast<std::uint64_t>(rank) + 1) * 0x9e3779b97f4a7c15u + at;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  return h ^ (h >> 27);
}

struct Data {
  int rank;
  std::vector<std::uint64_t> in, out;
  std::uint64_t number = 0;

  void fill() {
    ++number;
    for (std::size_t at = 0; at < in.size(); ++at) in[at] = value(rank, number, at);
    std::memset(out.data(), 0xa5, out.size() * 8);
  }
  // How many places are not as they must be.
  std::size_t wrong(bool sum) const {
    std::size_t count = 0;
    for (std::size_t at = 0; at < out.size(); ++at) {
      const std::uint64_t theirs = value(1 - rank, number, at);
      count += out[at] != (sum ? theirs + value(rank, number, at) : theirs);
    }
    return count;
  }
};

ncclResult_t exchange(Data& data, ncclComm_t comm) {
  ncclGroupStart();
  (void)ncclSend(data.in.data(), data.in.size(), ncclUint64, 1 - data.rank, comm, nullptr);
  (void)ncclRecv(data.out.data(), data.out.size(), ncclUint64, 1 - data.rank, comm, nullptr);
  return ncclGroupEnd();
}

ncclResult_t all_reduce(Data& data, ncclComm_t comm) {
  return ncclAllReduce(data.in.data(), data.out.data(), data.in.size(), ncclUint64, ncclSum, comm, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::size_t words = std::strtoull(argv[2], nullptr, 10) / 8;
  Data data{std::atoi(argv[1]), std::vector<std::uint64_t>(words), std::vector<std::uint64_t>(words)};
  ncclUniqueId id;
  ncclComm_t comm = nullptr;
  if (ncclGetUniqueId(&id) != ncclSuccess || ncclCommInitRank(&comm, kRanks, id, data.rank) != ncclSuccess) {
    std::printf("failed %s\n", ncclGetLastError(nullptr));
    return 1;
  }
  std::puts("ready");
  char line[32];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    const bool sum = std::strncmp(line, "allreduce", 9) == 0;
    data.fill();
    std::puts("begun");
    if ((sum ? all_reduce(data, comm) : exchange(data, comm)) != ncclSuccess) {
      std::printf("failed %s\n", ncclGetLastError(comm));
      return 1;
    }
    if (const std::size_t wrong = data.wrong(sum)) std::printf("failed: %zu words are wrong\n", wrong);
    std::printf("done %" PRIu64 "\n", data.number);
  }
  return ncclCommDestroy(comm) == ncclSuccess ? 0 : 1;
}
