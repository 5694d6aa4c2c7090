// Limits of the system and of time: an error that names the limit, or who is missing.
#include <fcntl.h>
#include <sys/resource.h>

#include <cstdlib>

#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

void limit(int resource, rlim_t value) {
  rlimit now{};
  getrlimit(static_cast<__rlimit_resource_t>(resource), &now);
  now.rlim_cur = std::min(value, now.rlim_max);
  setrlimit(static_cast<__rlimit_resource_t>(resource), &now);
}

// Two ranks join and reduce; rank 1, or both, under a limit.
void join_and_reduce(int rank, const ncclUniqueId& id, Report& report, std::size_t count) {
  ncclComm_t comm = nullptr;
  const ncclResult_t joined = ncclCommInitRank(&comm, 2, id, rank);
  if (joined != ncclSuccess) return report.note(joined);
  std::vector<int> values(count, 1);
  const ncclResult_t reduced =
      ncclAllReduce(values.data(), values.data(), count, ncclInt, ncclSum, comm, nullptr);
  report.note(reduced, comm);
  // To abort would end the other rank's call, which may still be under way.
  if ((reduced == ncclSuccess ? ncclCommDestroy(comm) : ncclCommAbort(comm)) != ncclSuccess) _exit(3);
}

// The other rank learns that rank 1 did not make it: from rank 1 where it could still say so, else when the
// time to join is over, or when no transport reaches it.
template <class Outcome>
void expect_told(const Outcome& other) {
  EXPECT_TRUE(other.result == ncclRemoteError || other.result == ncclSystemError) << other.result;
  EXPECT_NE(std::string(other.text).find("rank 1"), std::string::npos) << other.text;
}

// However few descriptors there are: it works, or all are told why not.
TEST(Limits, OpenFiles) {
  unsetenv("HANSA_PORT_RANGE");  // no stranger's connection is to take the last descriptor
  setenv("HANSA_INIT_TIMEOUT", "8", 1);
  bool refused = false;
  for (const rlim_t files : {5, 8, 12, 16, 20, 24, 32, 64}) {
    SCOPED_TRACE("RLIMIT_NOFILE " + std::to_string(files));
    Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
      if (rank == 1) limit(RLIMIT_NOFILE, files);
      join_and_reduce(rank, id, report, 100'003);
    });
    for (int rank = 0; rank < 2; ++rank) processes.expect_end(rank);
    if (processes[1].result == ncclSuccess) {
      EXPECT_EQ(ncclSuccess, processes[0].result) << processes[0].text;
      continue;
    }
    refused = true;
    processes.expect(1, ncclSystemError, {"RLIMIT_NOFILE"});
    expect_told(processes[0]);
  }
  EXPECT_TRUE(refused);
}

TEST(Limits, OpenFilesOfAll) {
  setenv("HANSA_INIT_TIMEOUT", "8", 1);
  for (const rlim_t files : {5, 9, 13}) {
    SCOPED_TRACE("RLIMIT_NOFILE " + std::to_string(files));
    Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
      limit(RLIMIT_NOFILE, files);
      join_and_reduce(rank, id, report, 1009);
    });
    for (int rank = 0; rank < 2; ++rank) {
      processes.expect_end(rank);
      EXPECT_NE(ncclSuccess, processes[rank].result);
      EXPECT_NE(std::string::npos, std::string(processes[rank].text).find("RLIMIT_NOFILE"))
          << processes[rank].text;
    }
  }
}

TEST(Limits, OpenFilesWhenTheIdIsMade) {
  Processes processes(1, [](int, const ncclUniqueId&, Report& report, Processes::Shared&) {
    limit(RLIMIT_NOFILE, 4);
    const pid_t child = fork();  // the library of this process has its descriptors already
    if (child == 0) {
      ncclUniqueId id;
      report.note(ncclGetUniqueId(&id));
      _exit(0);
    }
    waitpid(child, nullptr, 0);
  });
  processes.expect_end(0);
  processes.expect(0, ncclSystemError, {"RLIMIT_NOFILE"});
}

#ifndef HANSA_SANITIZED  // sanitizers need all address space there is
TEST(Limits, AddressSpace) {
  unsetenv("HANSA_PORT_RANGE");  // no stranger's connection is to take the last descriptor
  setenv("HANSA_INIT_TIMEOUT", "8", 1);
  bool refused = false;
  for (const rlim_t extra : {8, 32, 64, 128, 1024}) {
    SCOPED_TRACE(std::to_string(extra) + " MiB above what a bare process has");
    Processes processes(2, [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
      if (rank == 1) {
        long pages = 0;
        if (std::FILE* const file = std::fopen("/proc/self/statm", "r")) {
          if (std::fscanf(file, "%ld", &pages) != 1) pages = 0;
          std::fclose(file);
        }
        limit(RLIMIT_AS,
              static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (extra << 20));
      }
      join_and_reduce(rank, id, report, 1009);
    });
    for (int rank = 0; rank < 2; ++rank) processes.expect_end(rank);
    if (processes[1].result == ncclSuccess) continue;
    refused = true;
    processes.expect(1, ncclSystemError, {});
    EXPECT_NE('\0', processes[1].text[0]);
    expect_told(processes[0]);
  }
  EXPECT_TRUE(refused);
}
#endif

// Nothing that this library does on a host needs locked memory.
// Shared memory that cannot be had: said aloud, and the ranks reach each other more slowly.
TEST(Limits, FileSizes) {
  Processes processes(2, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    if (rank == 1) limit(RLIMIT_FSIZE, 4096);
    // What the library says goes to stderr, and from there into the report.
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0) _exit(4);
    join_and_reduce(rank, id, report, 1009);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    const ssize_t got = read(ends[0], report.text, sizeof report.text - 1);
    report.text[std::max<ssize_t>(got, 0)] = '\0';
  });
  for (int rank = 0; rank < 2; ++rank) processes.expect_end(rank);
  processes.expect(0, ncclSuccess, {});
  processes.expect(1, ncclSuccess, {"shm is left out", "RLIMIT_FSIZE", "ulimit -f"});
}

TEST(Limits, LockedMemory) {
  Processes processes(2, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    limit(RLIMIT_MEMLOCK, 0);
    join_and_reduce(rank, id, report, 300'007);
  });
  for (int rank = 0; rank < 2; ++rank) {
    processes.expect_end(rank);
    processes.expect(rank, ncclSuccess, {});
  }
}

// Rank 2 of 3 never comes.
TEST(InitTimeOut, NamesWhoIsMissing) {
  setenv("HANSA_INIT_TIMEOUT", "1", 1);
  Processes processes(3, [](int rank, const ncclUniqueId& id, Report& report, Processes::Shared&) {
    ncclComm_t comm = nullptr;
    if (rank == 2) return;
    report.note(ncclCommInitRank(&comm, 3, id, rank));
    if (comm != nullptr) _exit(4);
  });
  unsetenv("HANSA_INIT_TIMEOUT");
  for (int rank = 0; rank < 3; ++rank) processes.expect_end(rank);
  for (int rank = 0; rank < 2; ++rank) processes.expect(rank, ncclRemoteError, {"rank 2"});
}

}  // namespace
}  // namespace hansa::test
