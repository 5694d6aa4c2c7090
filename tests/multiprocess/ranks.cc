#include "ranks.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <thread>
#include <utility>

#include "tests/support/hosts.hpp"

namespace hansa::test {
namespace {

// Threads of each process, in rank order: {2, 1} is ranks 0 and 1 in one process, rank 2 in another.
using Layout = std::vector<int>;

constexpr auto kGrace = std::chrono::seconds(5);

// What the processes share: rank 0's makes the ids while the others wait.
struct Meeting {
  std::atomic<bool> ready{false};
  std::atomic<int> counters[kCounters] = {};
  ncclUniqueId ids[kIds];
};

bool meet(Meeting& meeting, bool first) {
  if (!first) {
    while (!meeting.ready.load(std::memory_order_acquire))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return true;
  }
  for (ncclUniqueId& id : meeting.ids) {
    if (ncclGetUniqueId(&id) == ncclSuccess) continue;
    std::fprintf(stderr, "ncclGetUniqueId: %s\n", ncclGetLastError(nullptr));
    return false;
  }
  meeting.ready.store(true, std::memory_order_release);
  return true;
}

int run_process(Place place, Meeting& meeting, const std::function<int(const Place&)>& body) {
  if (!meet(meeting, place.rank == 0)) return 1;
  place.ids = meeting.ids;
  place.counters = meeting.counters;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < place.threads; ++i, ++place.rank) {
    place.thread = i;
    threads.emplace_back([place, &body, &failures] { failures += body(place) != 0; });
  }
  for (std::thread& thread : threads) thread.join();
  return failures != 0;
}

// Waits for all; kills those that are still there some time after one has failed.
int reap(std::vector<pid_t> children, bool failed) {
  auto deadline = std::chrono::steady_clock::time_point::max();
  const auto fail = [&] {
    if (!failed) deadline = std::chrono::steady_clock::now() + kGrace;
    failed = true;
  };
  if (std::exchange(failed, false)) fail();
  while (!children.empty()) {
    int status = 0;
    const pid_t child = waitpid(-1, &status, WNOHANG);
    if (child > 0) {
      std::erase(children, child);
      if (status != 0) fail();
      if (WIFSIGNALED(status))
        std::fprintf(stderr, "a rank's process died of %s\n", strsignal(WTERMSIG(status)));
    } else if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(stderr, "%zu processes did not end after another had failed\n", children.size());
      for (const pid_t left : children) kill(left, SIGKILL);
      deadline = std::chrono::steady_clock::time_point::max();
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return failed ? 1 : 0;
}

Layout parse_layout(const char* text) {
  Layout layout;
  for (char* end = nullptr; *text != '\0'; text = *end == ',' ? end + 1 : end) {
    const long threads = std::strtol(text, &end, 10);
    if (end == text || (*end != ',' && *end != '\0') || threads < 1 || threads > 64) return {};
    layout.push_back(static_cast<int>(threads));
  }
  return layout;
}

// The library is first used in the children: it does not survive a fork.
int run_ranks(const Layout& layout, const std::function<int(const Place&)>& body) {
  void* memory = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("mmap");
    return 1;
  }
  Meeting& meeting = *new (memory) Meeting;
  std::fflush(nullptr);
  Place place;
  place.ranks = std::accumulate(layout.begin(), layout.end(), 0);
  std::vector<pid_t> children;
  bool failed = false;
  for (const int threads : layout) {
    place.threads = threads;
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      enter_host(static_cast<int>(children.size()), static_cast<int>(layout.size()));
      // exit, not _exit: sanitizers report leaks from there.
      std::exit(run_process(place, meeting, body));
    }
    if (child < 0) {
      std::perror("fork");
      failed = true;
      break;
    }
    children.push_back(child);
    place.rank += threads;
  }
  const int result = reap(std::move(children), failed);
  munmap(memory, sizeof(Meeting));
  return result;
}

}  // namespace

int run_main(int argc, char** argv, const std::function<int(const Place&)>& body) {
  const Layout layout = argc == 2 ? parse_layout(argv[1]) : Layout{};
  if (!layout.empty()) return run_ranks(layout, body);
  std::fprintf(stderr, "usage: %s THREADS[,THREADS...]: ranks of each process\n", argv[0]);
  return 2;
}

void require(ncclResult_t result, const Place& place, const char* what) {
  if (result == ncclSuccess) return;
  std::fprintf(stderr, "rank %d of %d: %s: %s: %s\n", place.rank, place.ranks, what,
               ncclGetErrorString(result), ncclGetLastError(nullptr));
  std::fflush(nullptr);
  _exit(1);
}

void Destroy::operator()(ncclComm_t comm) const {
  if (ncclCommDestroy(comm) == ncclSuccess) return;
  std::fprintf(stderr, "ncclCommDestroy: %s\n", ncclGetLastError(nullptr));
  std::fflush(nullptr);
  _exit(1);
}

Communicator join(const Place& place, int which, int rank) {
  ncclComm_t comm = nullptr;
  require(ncclCommInitRank(&comm, place.ranks, place.ids[static_cast<std::size_t>(which)],
                           rank < 0 ? place.rank : rank),
          place, "ncclCommInitRank");
  return Communicator(comm);
}

}  // namespace hansa::test
