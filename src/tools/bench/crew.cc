#include "tools/bench/crew.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <new>

namespace hansa::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 20ms;        // between two looks of whoever watches
constexpr auto kRankPatience = 5s;  // for ranks to end once their communicators are aborted
constexpr auto kProcessPatience = 10s;
constexpr auto kHearsay = 200ms;

int result_of(Ending ending) {
  switch (ending) {
    case Ending::kStopped:
      return kInterrupted;
    case Ending::kTimeout:
      return kTimedOut;
    case Ending::kFailed:
      return kCallFailed;
    case Ending::kNone:
      break;
  }
  return kDone;
}

// A line at once, so that those of several processes do not mix.
void say(const std::string& text) {
  const std::string line = fmt::format("{}: {}\n", host_name(), text);
  std::fflush(stdout);
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

// The signals that mean "stop", but for those the caller wants ignored (nohup).
sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) continue;
    sigaddset(&set, number);
  }
  return set;
}

int wait_for_signal(const sigset_t& set, std::chrono::nanoseconds patience) {
  const timespec time{0, static_cast<long>(patience.count())};
  return sigtimedwait(&set, nullptr, &time);
}

// The ranks of this process, one thread each. `seat_of` completes a rank's seat on its thread.
int run_threads(Board& board, int threads, int timeout_seconds, const Body& body,
                const std::function<Result<std::unique_ptr<Meeting>>(int thread, Seat& seat)>& seat_of) {
  Watch watch(board, threads, timeout_seconds);
  std::vector<int> results(static_cast<std::size_t>(threads), kCallFailed);
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      Seat seat;
      seat.thread = i;
      seat.threads = threads;
      seat.watch = &watch;
      auto meeting = seat_of(i, seat);
      if (!meeting.ok()) return watch.fail(seat.rank, meeting.status());
      seat.meeting = meeting.value().get();
      results[static_cast<std::size_t>(i)] = body(seat);
    });
  for (std::thread& thread : running) thread.join();
  if (board.ended()) return result_of(board.ending);
  const auto bad = std::ranges::find_if(results, [](int result) { return result != kDone; });
  return bad == results.end() ? kDone : *bad;
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return "localhost";
  name[strcspn(name, ".")] = '\0';
  return name;
}

Watch::Watch(Board& board, int ranks, int timeout_seconds)
    : board_(board),
      timeout_seconds_(timeout_seconds),
      kept_(static_cast<std::size_t>(2 * ranks)),
      started_(Clock::now().time_since_epoch().count()),
      thread_([this] { run(); }) {}

Watch::~Watch() {
  over_ = true;
  thread_.join();
  for (auto& place : kept_)
    if (const ncclComm_t comm = place.exchange(nullptr)) (void)ncclCommAbort(comm);
}

void Watch::keep(ncclComm_t comm) {
  for (auto& place : kept_) {
    ncclComm_t none = nullptr;
    if (place.compare_exchange_strong(none, comm)) return;
  }
}

bool Watch::release(ncclComm_t comm) {
  for (auto& place : kept_) {
    ncclComm_t kept = comm;
    if (place.compare_exchange_strong(kept, nullptr)) return true;
  }
  return false;
}

void Watch::begin(const std::string& what) {
  const std::lock_guard guard(lock_);
  what_ = what;
  started_ = Clock::now().time_since_epoch().count();
}

void Watch::fail(int rank, const Status& status) {
  if (status.code() == Code::kAborted) return;
  // Another rank's end is often the first this one hears of what this process is about to hear itself: a
  // signal to all, a death that its parent can tell more of.
  if (status.code() == Code::kRemote)
    for (auto left = kHearsay; left > 0ms && !board_.ended(); left -= kTick)
      std::this_thread::sleep_for(kTick);
  if (board_.end(Ending::kFailed)) say(fmt::format("Test NCCL failure: rank {}: {}", rank, status.message()));
}

void Watch::run() {
  const sigset_t signals = stop_signals();
  while (!over_) {
    if (wait_for_signal(signals, kTick) > 0) board_.end(Ending::kStopped);
    look_after();
  }
}

void Watch::look_after() {
  const auto now = Clock::now();
  if (board_.ended()) {
    if (ended_ == Clock::time_point()) ended_ = now;
    for (auto& place : kept_)
      if (const ncclComm_t comm = place.exchange(nullptr)) (void)ncclCommAbort(comm);
    if (now - ended_ < kRankPatience || over_) return;
    say("ranks of this process do not stop; it ends without them");
    _exit(result_of(board_.ending));
  }
  const Clock::duration running = now.time_since_epoch() - Clock::duration(started_.load());
  if (timeout_seconds_ > 0 && running > std::chrono::seconds(timeout_seconds_) &&
      board_.end(Ending::kTimeout)) {
    const std::lock_guard guard(lock_);
    say(fmt::format("Test timeout ({}s): {}", timeout_seconds_, what_));
  }
}

namespace {

struct Child {
  pid_t id;
  int first_rank;
  bool running = true;
};

// Says what became of a child that has ended, where that ends the benchmark.
int judge(Board& board, const Child& child, int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    if (board.end(Ending::kFailed) || board.ending == Ending::kFailed)
      say(fmt::format("Test failure: the process of rank {} (pid {}) was killed by signal {} ({})",
                      child.first_rank, child.id, number, strsignal(number)));
    return kCallFailed;
  }
  const int result = WEXITSTATUS(status);
  if (result != kDone && result != kWrong && board.end(Ending::kFailed))
    say(fmt::format("Test failure: the process of rank {} (pid {}) ended with {}", child.first_rank, child.id,
                    result));
  return result;
}

// Waits for all; when the benchmark ends early and a child does not, kills it.
int look_after(Board& board, std::vector<Child>& children, const sigset_t& signals) {
  using Clock = std::chrono::steady_clock;
  int result = kDone;
  auto ended = Clock::time_point::max();
  for (std::size_t running = children.size(); running > 0;) {
    const int number = wait_for_signal(signals, kTick * 5);
    if (number == SIGINT || number == SIGTERM) board.end(Ending::kStopped);
    for (Child& child : children) {
      int status = 0;
      if (!child.running || waitpid(child.id, &status, WNOHANG) != child.id) continue;
      child.running = false;
      --running;
      if (const int its = judge(board, child, status); result == kDone) result = its;
    }
    if (!board.ended()) continue;
    if (ended == Clock::time_point::max()) ended = Clock::now();
    if (Clock::now() - ended < kProcessPatience) continue;
    for (const Child& child : children)
      if (child.running) kill(child.id, SIGKILL);
  }
  return board.ended() ? result_of(board.ending) : result;
}

}  // namespace

int run_processes(int processes, int threads, int timeout_seconds, const Body& body) {
  const int ranks = processes * threads;
  const std::size_t head = (sizeof(Board) + 63) & ~std::size_t{63};
  const std::size_t bytes = head + static_cast<std::size_t>(ranks) * SharedMeeting::kSlot;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    say(fmt::format("mmap of {} bytes: {}", bytes, strerror(errno)));
    return kCallFailed;
  }
  Board& board = *new (memory) Board;
  std::byte* const slots = static_cast<std::byte*>(memory) + head;
  sigset_t signals = stop_signals();
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  std::vector<Child> children;
  for (int process = 0; process < processes; ++process) {
    const pid_t child = fork();
    if (child < 0) {
      board.end(Ending::kFailed);
      say(fmt::format("fork of process {}: {}", process, strerror(errno)));
      break;
    }
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(kCallFailed);
      const int result = run_threads(board, threads, timeout_seconds, body, [&](int thread, Seat& seat) {
        seat.rank = process * threads + thread;
        seat.ranks = ranks;
        seat.process = process;
        seat.processes = processes;
        seat.local = process * threads;
        return Result<std::unique_ptr<Meeting>>(
            std::make_unique<SharedMeeting>(board, slots, seat.rank, ranks));
      });
      std::fflush(nullptr);
      _exit(result);
    }
    children.push_back({child, process * threads});
  }
  const int result = look_after(board, children, signals);
  munmap(memory, bytes);
  return result;
}

int run_here(int threads, int timeout_seconds, const World& world, const Body& body) {
  const sigset_t signals = stop_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  Board board;
  std::vector<std::byte> slots(static_cast<std::size_t>(threads) * SharedMeeting::kSlot);
  return run_threads(board, threads, timeout_seconds, body, [&](int thread, Seat& seat) {
    seat.rank = world.process * threads + thread;
    seat.ranks = world.processes * threads;
    seat.process = world.process;
    seat.processes = world.processes;
    seat.local = world.local * threads;
    if (world.join) return world.join(seat);
    return Result<std::unique_ptr<Meeting>>(
        std::make_unique<SharedMeeting>(board, slots.data(), seat.rank, seat.ranks));
  });
}

}  // namespace hansa::bench
