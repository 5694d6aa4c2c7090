// The ranks of a benchmark that this command starts: processes or threads, watched until the last has ended.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tools/bench/meeting.hpp"

namespace hansa::bench {

// What the command returns: nccl-tests' results, and a shell's word for "ended by Ctrl-C".
inline constexpr int kDone = 0, kCallFailed = 3, kTimedOut = 4, kWrong = 7, kRefused = 255,
                     kInterrupted = 130;

// Watches over the ranks of one process, from a thread of its own: hears SIGINT and SIGTERM (which must be
// blocked in all threads), keeps the time-out, and when the benchmark ends early aborts every communicator,
// so that no rank stays in a call. All calls are for the ranks' threads.
class Watch {
 public:
  Watch(Board& board, int ranks, int timeout_seconds);  // 0: no time-out
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // From here on, until released, the communicator is aborted if the benchmark ends early. At most two a
  // rank.
  void keep(ncclComm_t comm);
  // Whether it is the caller's to destroy: false if it has been aborted.
  bool release(ncclComm_t comm);

  // The time-out starts anew; `what` is said if it runs out.
  void begin(const std::string& what);
  // What a rank failed with: said, if it is the first to end the benchmark.
  void fail(int rank, const Status& status);

  Board& board() { return board_; }

 private:
  using Clock = std::chrono::steady_clock;
  void run();
  void look_after();

  Board& board_;
  const int timeout_seconds_;
  std::vector<std::atomic<ncclComm_t>> kept_;
  std::atomic<Clock::rep> started_;
  std::mutex lock_;
  std::string what_;  // under the lock
  Clock::time_point ended_{};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// One rank's place, as its body sees it.
struct Seat {
  int rank = 0, ranks = 1;         // in the whole job
  int process = 0, processes = 1;  // of the job
  int thread = 0, threads = 1;     // of the process: its ranks
  int local = 0;                   // the first of the process' ranks among those of this host
  Watch* watch = nullptr;
  Meeting* meeting = nullptr;
};

using Body = std::function<int(const Seat& seat)>;

// Runs `processes` of `threads` ranks each on this machine and waits for all. The caller has no other threads
// and has not used the library. Returns 0 or the first result that is not; says which rank died, if one did.
int run_processes(int processes, int threads, int timeout_seconds, const Body& body);

// Where the ranks of this process stand among those of a launcher's other processes.
struct World {
  int process = 0, processes = 1;
  int local = 0;  // of the processes of this host
  // Brings a rank together with all others, on its own thread; without it there are no others.
  std::function<Result<std::unique_ptr<Meeting>>(const Seat& seat)> join;
};

// Runs `threads` ranks in this process and waits for them. Returns as run_processes does.
int run_here(int threads, int timeout_seconds, const World& world, const Body& body);

// "node17", without the domain.
std::string host_name();

}  // namespace hansa::bench
