#include "tools/local_ranks.hpp"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <new>
#include <thread>
#include <vector>

namespace hansa::tools {
namespace {

int run_process(int first, int count, int ranks, Shared& shared,
                const std::function<int(const Place&)>& body) {
  if (first == 0) {
    if (ncclGetUniqueId(&shared.id) != ncclSuccess) {
      std::fprintf(stderr, "hansa: %s\n", ncclGetLastError(nullptr));
      shared.failed = true;
      return 1;
    }
    shared.id_ready.store(true, std::memory_order_release);
  }
  while (!shared.id_ready.load(std::memory_order_acquire)) {
    if (shared.failed) return 1;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  std::vector<int> results(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      results[static_cast<std::size_t>(i)] = body({first + i, ranks, &shared});
    });
  for (std::thread& thread : threads) thread.join();
  for (const int result : results)
    if (result != 0) return result;
  return 0;
}

}  // namespace

int run_ranks(int ranks, int threads, const std::function<int(const Place&)>& body) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("hansa: mmap");
    return 1;
  }
  Shared& shared = *new (memory) Shared;
  std::fflush(nullptr);
  const pid_t parent = getpid();
  std::vector<pid_t> children;
  for (int first = 0; first < ranks; first += threads) {
    const pid_t child = fork();
    if (child < 0) {
      std::perror("hansa: fork");
      shared.failed = true;
      break;
    }
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      const int result = run_process(first, std::min(threads, ranks - first), ranks, shared, body);
      std::fflush(nullptr);
      _exit(result);
    }
    children.push_back(child);
  }
  int result = shared.failed ? 1 : 0;
  for (std::size_t i = 0; i < children.size(); ++i) {
    int status = 0;
    waitpid(children[i], &status, 0);
    if (status == 0) continue;
    result = 1;
    if (WIFSIGNALED(status))
      std::fprintf(stderr, "hansa: the process of rank %zu was killed by signal %d (%s)\n",
                   i * static_cast<std::size_t>(threads), WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  munmap(memory, sizeof(Shared));
  return result;
}

}  // namespace hansa::tools
