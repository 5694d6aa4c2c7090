// Ranks as forked processes that report through shared memory, so that they can be killed, stopped and asked.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "hansa/bootstrap.hpp"

namespace hansa::test {

enum Phase : int { kStarted, kEntering, kJoined, kFailed, kLeft, kDone };

struct Report {
  std::atomic<int> phase{kStarted};
  std::atomic<int> asked{0};  // what the test wants of this rank next; its body says what numbers mean
  std::atomic<std::int64_t> failed_at_ns{0};
  int code = 0;
  char text[1024] = {};

  void fail(const Status& why) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    failed_at_ns = now.tv_sec * 1'000'000'000ll + now.tv_nsec;
    code = static_cast<int>(why.code());
    strncpy(text, why.c_str(), sizeof text - 1);
    phase.store(kFailed, std::memory_order_release);
  }
  void await(int request) const {
    while (asked.load(std::memory_order_acquire) != request) usleep(500);
  }
};

class Processes {
 public:
  static constexpr int kMost = 16;
  struct Shared {
    std::atomic<bool> id_ready{false};
    UniqueId id{};
    Report reports[kMost];
  };
  using Body = std::function<void(Rank rank, const UniqueId& id, Report& report)>;

  // Rank 0 makes the id, unless `made_here`, and every rank runs `body`.
  Processes(int ranks, const SessionOptions& for_id, const Body& body, const UniqueId* made_here = nullptr)
      : shared_(new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                    Shared) {
    if (made_here) {
      shared_->id = *made_here;
      shared_->id_ready = true;
    }
    for (Rank rank = 0; rank < ranks; ++rank) {
      pids_.push_back(fork());
      if (pids_.back() != 0) continue;
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (rank == 0 && !made_here) {
        auto id = create_unique_id(for_id);
        if (!id.ok()) _exit(9);
        shared_->id = id.value();
        shared_->id_ready.store(true, std::memory_order_release);
      }
      while (!shared_->id_ready.load(std::memory_order_acquire)) usleep(200);
      body(rank, shared_->id, shared_->reports[rank]);
      shared_->reports[rank].phase = kDone;
      _exit(0);
    }
  }
  ~Processes() {
    for (Rank rank = 0; rank < static_cast<Rank>(pids_.size()); ++rank) signal(rank, SIGKILL);
    for (Rank rank = 0; rank < static_cast<Rank>(pids_.size()); ++rank) reap(rank);
    munmap(shared_, sizeof(Shared));
  }

  pid_t pid(Rank rank) const { return pids_[static_cast<std::size_t>(rank)]; }
  Report& operator[](Rank rank) { return shared_->reports[rank]; }
  void ask(Rank rank, int request) { shared_->reports[rank].asked.store(request, std::memory_order_release); }
  void signal(Rank rank, int number) {
    if (pid(rank) > 0 && !reaped(rank)) ::kill(pid(rank), number);
  }
  // The exit status of a rank that has been told to end.
  int reap(Rank rank) {
    int status = 0;
    if (pid(rank) > 0 && !reaped(rank)) {
      waitpid(pid(rank), &status, 0);
      reaped_.push_back(rank);
    }
    return status;
  }
  // Bounded: a rank that does not get there fails the test.
  void expect(Rank rank, Phase phase) {
    for (int i = 0; i < 40'000 && shared_->reports[rank].phase.load(std::memory_order_acquire) != phase; ++i)
      usleep(500);
    EXPECT_EQ(static_cast<int>(phase), shared_->reports[rank].phase.load())
        << "rank " << rank << ": " << shared_->reports[rank].text;
  }
  void expect_all(Phase phase) {
    for (Rank rank = 0; rank < static_cast<Rank>(pids_.size()); ++rank) expect(rank, phase);
  }
  void expect_failed(Rank rank, Code code, const std::string& saying) {
    expect(rank, kFailed);
    EXPECT_EQ(static_cast<int>(code), (*this)[rank].code) << (*this)[rank].text;
    EXPECT_NE(std::string::npos, std::string((*this)[rank].text).find(saying))
        << "rank " << rank << " says: " << (*this)[rank].text << "\nwanted: " << saying;
  }

 private:
  bool reaped(Rank rank) const {
    for (const Rank other : reaped_) {
      if (other == rank) return true;
    }
    return false;
  }
  Shared* const shared_;
  std::vector<pid_t> pids_;
  std::vector<Rank> reaped_;
};

inline SessionOptions on_host(int host,
                              std::chrono::milliseconds timeout = std::chrono::milliseconds(20'000)) {
  SessionOptions options;
  options.interface = "127.0.0." + std::to_string(host + 1);
  options.host_id = "h" + std::to_string(host);
  options.timeout = timeout;
  return options;
}

// Nanoseconds of the clock in Report.
inline std::int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000ll + now.tv_nsec;
}

}  // namespace hansa::test
