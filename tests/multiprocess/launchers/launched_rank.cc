// One rank of a job that a real launcher started: takes its place from it, gets the id through it, and proves
// by one allreduce that all ranks are there. Prints one line.
//
//   launched_rank [SECONDS to wait for other ranks]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bootstrap/launcher.hpp"
#include "nccl.h"

namespace {

using namespace hansa;

constexpr int kCount = 1000;

int fail(const char* what, const char* why) {
  std::fprintf(stderr, "%s: %s\n", what, why);
  return 1;
}

// What no launcher's limit on values lets through in one piece.
std::vector<std::byte> long_message() {
  std::vector<std::byte> bytes(Launcher::kMostBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}

int prove(const Job& job, const ncclUniqueId& id) {
  ncclComm_t comm = nullptr;
  if (ncclCommInitRank(&comm, job.ranks, id, job.rank) != ncclSuccess)
    return fail("ncclCommInitRank", ncclGetLastError(nullptr));
  std::vector<int> in(kCount, job.rank + 1), out(kCount, -1);
  if (ncclAllReduce(in.data(), out.data(), kCount, ncclInt32, ncclSum, comm, nullptr) != ncclSuccess)
    return fail("ncclAllReduce", ncclGetLastError(comm));
  for (const int value : out)
    if (value != job.ranks * (job.ranks + 1) / 2) return fail("ncclAllReduce", "a wrong sum");
  if (ncclCommDestroy(comm) != ncclSuccess) return fail("ncclCommDestroy", ncclGetLastError(nullptr));
  // One write, so that ranks do not cut each other off.
  char line[200];
  std::snprintf(line, sizeof line, "rank %d of %d, %d of %d here, by %s: sum %d\n", job.rank, job.ranks,
                job.local_rank, job.local_ranks, job.launcher.c_str(), out[0]);
  std::fputs(line, stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::chrono::seconds patience(argc > 1 ? std::atoi(argv[1]) : 60);
  auto found = find_launcher(process_environment());
  if (!found.ok()) return fail("find_launcher", found.status().c_str());
  const auto launcher = std::move(found).value();
  if (!launcher) return fail("find_launcher", "no launcher started this process");
  const Job& job = launcher->job();
  std::vector<std::byte> bytes(sizeof(ncclUniqueId));
  ncclUniqueId id;
  if (job.rank == 0) {
    if (ncclGetUniqueId(&id) != ncclSuccess) return fail("ncclGetUniqueId", ncclGetLastError(nullptr));
    std::memcpy(bytes.data(), &id, sizeof id);
  }
  const auto got = launcher->broadcast(bytes, patience);
  if (!got.ok()) return fail("broadcast", got.status().c_str());
  if (got.value().size() != sizeof id) return fail("broadcast", "not as many bytes as rank 0 gave");
  std::memcpy(&id, got.value().data(), sizeof id);
  const auto again = launcher->broadcast(long_message(), patience);
  if (!again.ok()) return fail("second broadcast", again.status().c_str());
  if (again.value() != long_message()) return fail("second broadcast", "other bytes than rank 0 gave");
  return prove(job, id);
}
