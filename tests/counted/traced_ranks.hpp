// Two ranks as processes, the first of which is traced by the test.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <functional>
#include <new>
#include <string>

#include "nccl.h"

namespace hansa::test {

inline void must(ncclResult_t result) {
  if (result == ncclSuccess) return;
  std::fprintf(stderr, "%s\n", ncclGetLastError(nullptr));
  _exit(1);
}

// What the ranks call, `count` floats each; rooted ones so that both ranks play both parts.
struct CountedCall {
  std::string name;
  ncclResult_t (*make)(const float* in, float* out, std::size_t count, ncclComm_t comm);
};

inline const std::array<CountedCall, 10>& counted_calls() {
  static const std::array<CountedCall, 10> kCalls = {{
      {"allreduce", [](auto in, auto out, auto n,
                       auto comm) { return ncclAllReduce(in, out, n, ncclFloat, ncclSum, comm, nullptr); }},
      {"allgather", [](auto in, auto out, auto n,
                       auto comm) { return ncclAllGather(in, out, n, ncclFloat, comm, nullptr); }},
      {"reduce_scatter",
       [](auto in, auto out, auto n, auto comm) {
         return ncclReduceScatter(in, out, n, ncclFloat, ncclSum, comm, nullptr);
       }},
      {"alltoall", [](auto in, auto out, auto n,
                      auto comm) { return ncclAlltoAll(in, out, n, ncclFloat, comm, nullptr); }},
      {"broadcast from 0", [](auto in, auto out, auto n,
                              auto comm) { return ncclBroadcast(in, out, n, ncclFloat, 0, comm, nullptr); }},
      {"broadcast from 1", [](auto in, auto out, auto n,
                              auto comm) { return ncclBroadcast(in, out, n, ncclFloat, 1, comm, nullptr); }},
      {"gather to 0", [](auto in, auto out, auto n,
                         auto comm) { return ncclGather(in, out, n, ncclFloat, 0, comm, nullptr); }},
      {"scatter from 0", [](auto in, auto out, auto n,
                            auto comm) { return ncclScatter(in, out, n, ncclFloat, 0, comm, nullptr); }},
      {"reduce to 0", [](auto in, auto out, auto n,
                         auto comm) { return ncclReduce(in, out, n, ncclFloat, ncclSum, 0, comm, nullptr); }},
      {"reduce to 1", [](auto in, auto out, auto n,
                         auto comm) { return ncclReduce(in, out, n, ncclFloat, ncclSum, 1, comm, nullptr); }},
  }};
  return kCalls;
}

class TracedRanks {
 public:
  using Body = std::function<void(int rank, ncclComm_t comm)>;

  // `body` runs in both processes; what the first does after trace_me() the test sees.
  explicit TracedRanks(const Body& body)
      : meeting_(new (mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                           0)) Meeting) {
    for (int rank = 0; rank < 2; ++rank) {
      pids_[static_cast<std::size_t>(rank)] = fork();
      if (pids_[static_cast<std::size_t>(rank)] == 0) live(rank, body);
    }
    int status = 0;
    EXPECT_EQ(traced(), waitpid(traced(), &status, 0));
    EXPECT_TRUE(WIFSTOPPED(status)) << "the traced rank has ended";
    EXPECT_EQ(0, ptrace(PTRACE_SETOPTIONS, traced(), 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD));
  }
  // Both ranks go on to their ends, which are to be good.
  ~TracedRanks() {
    ptrace(PTRACE_DETACH, traced(), 0, 0);
    for (const pid_t pid : pids_) {
      int status = 0;
      EXPECT_EQ(pid, waitpid(pid, &status, 0));
      EXPECT_EQ(0, status);
    }
    munmap(meeting_, sizeof(Meeting));
  }
  TracedRanks(const TracedRanks&) = delete;
  TracedRanks& operator=(const TracedRanks&) = delete;

  pid_t traced() const { return pids_[0]; }
  // Lets the traced rank go on to its next stop; false if it has none.
  template <class Request>
  bool resume(Request request) {
    int status = 0;
    return ptrace(request, traced(), 0, 0) == 0 && waitpid(traced(), &status, 0) == traced() &&
           WIFSTOPPED(status);
  }

  // Called by the rank that is to be traced, in its process.
  static void trace_me() {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
  }

 private:
  struct Meeting {
    std::atomic<bool> ready{false};
    ncclUniqueId id;
  };

  [[noreturn]] void live(int rank, const Body& body) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (rank == 0) {
      must(ncclGetUniqueId(&meeting_->id));
      meeting_->ready.store(true, std::memory_order_release);
    }
    while (!meeting_->ready.load(std::memory_order_acquire)) usleep(200);
    ncclComm_t comm = nullptr;
    must(ncclCommInitRank(&comm, 2, meeting_->id, rank));
    body(rank, comm);
    must(ncclCommDestroy(comm));
    _exit(0);
  }

  Meeting* const meeting_;
  std::array<pid_t, 2> pids_{};
};

}  // namespace hansa::test
