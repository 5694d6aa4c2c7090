// What communicators cost. Times are printed; memory, threads and descriptors are held to bounds.
#include <dirent.h>
#include <malloc.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "nccl_processes.hpp"
#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

std::size_t entries(const char* folder) {
  std::size_t count = 0;
  DIR* const directory = opendir(folder);
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}
std::size_t threads() { return entries("/proc/self/task"); }
std::size_t descriptors() { return entries("/proc/self/fd"); }

long pss_kib() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string line; std::getline(rollup, line);)
    if (line.starts_with("Pss:")) return std::stol(line.substr(4));
  return -1;
}

// Backed memory behind this process's descriptors, touched or not, which no Pss shows. Inboxes are held
// twice.
long shared_kib() {
  long total = 0;
  for (int fd = 0; fd < 65536; ++fd) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0)
      total += status.st_blocks / 2;
  }
  return total / 2;
}

constexpr int kMany = 500;

void make_many(int rank, const ncclUniqueId& id, Report& report) {
  ncclComm_t parent = nullptr;
  std::vector<ncclComm_t> children(kMany);
  ncclResult_t result = ncclCommInitRank(&parent, 8, id, rank);
  const long pss = pss_kib(), shared = shared_kib();
  const double start = seconds_now();
  for (int i = 0; i < kMany && result == ncclSuccess; ++i)
    result = ncclCommSplit(parent, 0, 0, &children[static_cast<std::size_t>(i)], nullptr);
  const double each = (seconds_now() - start) / kMany;
  int value = 1;
  for (int i = 0; i < kMany && result == ncclSuccess; ++i) {
    value = 1;
    result =
        ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, children[static_cast<std::size_t>(i)], nullptr);
    if (value != 8) result = ncclInternalError;
  }
  report.note(result, children[0]);
  if (result != ncclSuccess) return;
  if (hansaBarrier(parent, nullptr) != ncclSuccess) _exit(3);
  std::snprintf(report.text, sizeof report.text, "%.2f ms and %ld KiB (Pss), %ld KiB of shared memory each",
                1e3 * each, (pss_kib() - pss) / kMany, (shared_kib() - shared) / kMany);
  report.phase = static_cast<int>((pss_kib() - pss + shared_kib() - shared) / kMany);
  if (hansaBarrier(parent, nullptr) != ncclSuccess) _exit(3);
  for (const ncclComm_t child : children)
    if (ncclCommDestroy(child) != ncclSuccess) _exit(4);
  if (ncclCommDestroy(parent) != ncclSuccess) _exit(4);
}

TEST(Resources, FiveHundredCommunicatorsOverEightRanks) {
  Processes processes(8, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    make_many(rank, id, report);
  });
  for (int rank = 0; rank < 8; ++rank) {
    processes.expect_end(rank);
    EXPECT_EQ(0, processes[rank].result) << processes[rank].text;
    EXPECT_LE(processes[rank].phase, 1024) << processes[rank].text;
  }
  std::printf("%d communicators over 8 ranks, rank 0: %s\n", kMany, processes[0].text);
}

// In a process of its own, so that nothing else has started anything.
TEST(Resources, OneRankNeedsNothing) {
  Processes processes(1, [](int, const ncclUniqueId&, Report& report, Processes::Shared&) {
    const std::size_t had_threads = threads(), had_descriptors = descriptors(),
                      had_bytes = mallinfo2().uordblks;
    std::vector<ncclComm_t> comms(100);
    int value = 1;
    for (ncclComm_t& comm : comms)
      if (ncclCommInitAll(&comm, 1, nullptr) != ncclSuccess ||
          ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, comm, nullptr) != ncclSuccess)
        return report.note(ncclInternalError);
    report.phase = static_cast<int>((mallinfo2().uordblks - had_bytes) / comms.size());
    std::snprintf(report.text, sizeof report.text, "%zu threads, %zu descriptors more",
                  threads() - had_threads, descriptors() - had_descriptors);
    report.result =
        had_threads == threads() && had_descriptors == descriptors() ? ncclSuccess : ncclSystemError;
    for (const ncclComm_t comm : comms)
      if (ncclCommDestroy(comm) != ncclSuccess) _exit(4);
  });
  processes.expect_end(0);
  EXPECT_EQ(0, processes[0].result) << processes[0].text;
  EXPECT_LE(processes[0].phase, 64 << 10);
  std::printf("a communicator of one rank takes %d bytes\n", processes[0].phase.load());
}

// An id costs nothing either, once it has been used for one rank.
TEST(Resources, OneRankByIdLeavesNothing) {
  const auto once = [] {
    ncclUniqueId id;
    ncclComm_t comm = nullptr;
    ASSERT_DONE(ncclGetUniqueId(&id));
    ASSERT_DONE(ncclCommInitRank(&comm, 1, id, 0));
    ASSERT_DONE(ncclCommDestroy(comm));
  };
  for (int i = 0; i < 10; ++i) once();
  usleep(20'000);
  const std::size_t had_threads = threads(), had_descriptors = descriptors(),
                    had_bytes = mallinfo2().uordblks;
  for (int i = 0; i < 1000; ++i) once();
  usleep(20'000);  // the control thread puts the last ones away
  EXPECT_EQ(had_threads, threads());
  EXPECT_EQ(had_descriptors, descriptors());
  EXPECT_LT(mallinfo2().uordblks, had_bytes + 100'000);
}

}  // namespace
}  // namespace hansa::test
