// Ranks as forked processes that use nothing but the C interface and report through shared memory, so that
// they can be killed and asked.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "hansa/hansa.h"
#include "nccl.h"

namespace hansa::test {

inline double seconds_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Report {
  std::atomic<int> phase{0};  // as the body says
  std::atomic<bool> ended{false};
  int result = -1;  // of the call that mattered
  double at = 0;    // when it returned
  char text[1024] = {};

  void note(ncclResult_t outcome, ncclComm_t comm = nullptr) {
    at = seconds_now();
    result = outcome;
    std::strncpy(text, outcome == ncclSuccess ? "" : ncclGetLastError(comm), sizeof text - 1);
  }
};

// The library is first used in the children, so that each starts afresh.
class Processes {
 public:
  struct Shared {
    std::atomic<bool> ready{false}, go{false};
    ncclUniqueId id;
    Report reports[8];
  };
  using Body = std::function<void(int rank, const ncclUniqueId& id, Report& report, Shared& shared)>;

  // The id comes from a process that is no rank, if `apart`, so that every rank may be killed during init.
  // `first` runs in every process before it uses the library.
  Processes(int ranks, const Body& body, bool apart = false, const std::function<void(int rank)>& first = {})
      : ranks_(ranks),
        shared_(new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                    Shared) {
    for (int rank = 0; rank < ranks + (apart ? 1 : 0); ++rank) {
      const pid_t child = fork();
      pids_.push_back(child);
      if (child != 0) continue;
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (first) first(rank);
      if (rank == (apart ? ranks : 0)) {
        if (ncclGetUniqueId(&shared_->id) != ncclSuccess) {
          shared_->reports[0].note(ncclSystemError);
          _exit(9);
        }
        shared_->ready.store(true, std::memory_order_release);
      }
      while (!shared_->ready.load(std::memory_order_acquire)) usleep(200);
      if (rank == ranks)
        for (;;) pause();
      body(rank, shared_->id, shared_->reports[rank], *shared_);
      shared_->reports[rank].ended.store(true, std::memory_order_release);
      _exit(0);
    }
  }
  ~Processes() {
    for (std::size_t i = 0; i < pids_.size(); ++i) kill(static_cast<int>(i));
    munmap(shared_, sizeof(Shared));
  }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  Report& operator[](int rank) { return shared_->reports[rank]; }
  pid_t pid(int rank) const { return pids_[static_cast<std::size_t>(rank)]; }
  void go() { shared_->go.store(true, std::memory_order_release); }

  // Of a process that is to stop, or to end in whatever way: when it was seen, or 0 if that did not happen in
  // time. `status` as waitpid() has it.
  double await_change(int rank, int& status) {
    pid_t& child = pids_[static_cast<std::size_t>(rank)];
    for (int i = 0; i < 60'000; ++i) {
      if (waitpid(child, &status, WNOHANG | WUNTRACED) == child) {
        if (!WIFSTOPPED(status)) child = 0;
        return seconds_now();
      }
      usleep(300);
    }
    return 0;
  }
  void resume(int rank) { ::kill(pid(rank), SIGCONT); }
  void kill(int rank) {
    pid_t& child = pids_[static_cast<std::size_t>(rank)];
    if (child <= 0) return;
    ::kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    child = 0;
  }
  void await_phase(int rank, int phase) {
    for (int i = 0; i < 60'000 && shared_->reports[rank].phase.load(std::memory_order_acquire) < phase; ++i)
      usleep(500);
    EXPECT_LE(phase, shared_->reports[rank].phase.load())
        << "rank " << rank << ": " << shared_->reports[rank].text;
  }
  // Bounded; the process must have ended by itself and well.
  void expect_end(int rank) {
    pid_t& child = pids_[static_cast<std::size_t>(rank)];
    int status = 0;
    for (int i = 0; i < 60'000; ++i) {
      if (waitpid(child, &status, WNOHANG) == child) {
        child = 0;
        EXPECT_EQ(0, status) << "rank " << rank;
        EXPECT_TRUE(shared_->reports[rank].ended) << "rank " << rank;
        return;
      }
      usleep(500);
    }
    ADD_FAILURE() << "rank " << rank << " does not end";
  }
  void expect(int rank, ncclResult_t result, const std::vector<std::string>& saying) {
    EXPECT_EQ(result, (*this)[rank].result) << "rank " << rank << ": " << (*this)[rank].text;
    for (const std::string& word : saying)
      EXPECT_NE(std::string::npos, std::string((*this)[rank].text).find(word))
          << "rank " << rank << " says: " << (*this)[rank].text << "\nwanted: " << word;
  }
  int ranks() const { return ranks_; }

 private:
  const int ranks_;
  Shared* const shared_;
  std::vector<pid_t> pids_;
};

inline std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace hansa::test
