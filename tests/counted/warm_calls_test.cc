// A warm call whose messages are below the single-copy size allocates nothing, takes no lock and makes no
// system call. This program stands between the library and the allocator and the locks of libc; its system
// calls are what its tracer sees.
#include <dlfcn.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <vector>

#include "tests/counted/traced_ranks.hpp"

namespace {

// Of the calling thread: whether what it does counts.
thread_local bool counting = false;
thread_local int allocations = 0, locks = 0;

void note(int& counter) {
  if (counting) ++counter;
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* memory);

void* malloc(std::size_t bytes) {
  note(allocations);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  note(allocations);
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  note(allocations);
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  note(allocations);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  note(allocations);
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  note(allocations);
  __libc_free(memory);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  using Lock = int (*)(pthread_mutex_t*);
  static const Lock lock = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  note(locks);
  return lock(mutex);
}
}

namespace hansa::test {
namespace {

constexpr int kBatches = 1000;
constexpr std::size_t kCounts[] = {2, 250, 1024, 2000};

// Batches of every call at every size, so short that some are left alone on the busiest machine. What
// separates batches is a system call that nothing else makes here.
void call_in_batches(int rank, ncclComm_t comm) {
  std::vector<float> in(2 * kCounts[3], 1), out(2 * kCounts[3]);
  const auto all = [&] {
    for (const CountedCall& call : counted_calls())
      for (const std::size_t count : kCounts) must(call.make(in.data(), out.data(), count, comm));
  };
  counting = true;  // the first calls make plans
  all();
  void* memory = nullptr;
  must(ncclMemAlloc(&memory, 1 << 20));
  counting = false;
  must(ncclMemFree(memory));
  if (allocations == 0 || locks == 0) {
    std::fprintf(stderr, "what the library asks of libc does not come by here\n");
    _exit(3);
  }
  allocations = locks = 0;
  for (int i = 0; i < 50; ++i) all();
  if (rank == 0) TracedRanks::trace_me();
  for (int batch = 0; batch < kBatches; ++batch) {
    syscall(SYS_getppid);
    counting = true;
    all();
    counting = false;
  }
  syscall(SYS_getppid);
  if (allocations + locks == 0) return;
  std::fprintf(stderr, "rank %d: %d allocations and %d locks\n", rank, allocations, locks);
  _exit(2);
}

TEST(WarmCalls, AllocateNothingTakeNoLockAndMakeNoSystemCall) {
  TracedRanks ranks(call_in_batches);
  std::vector<int> made;  // by batch
  std::map<std::uint64_t, int> others;
  while (static_cast<int>(made.size()) <= kBatches && ranks.resume(PTRACE_SYSCALL)) {
    __ptrace_syscall_info info{};
    ASSERT_GT(ptrace(PTRACE_GET_SYSCALL_INFO, ranks.traced(), sizeof info, &info), 0);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
    if (info.entry.nr == SYS_getppid) {
      made.push_back(0);
    } else if (!made.empty()) {
      ++made.back();
      if (info.entry.nr != SYS_sched_yield && info.entry.nr != SYS_clock_nanosleep) ++others[info.entry.nr];
    }
  }
  ASSERT_EQ(kBatches + 1, static_cast<int>(made.size()));
  // Where another process takes a core, the rank on it keeps this one waiting, and who waits for long yields.
  EXPECT_EQ(0, *std::min_element(made.begin(), made.end() - 1)) << "no batch without a system call";
  for (const auto& [number, times] : others) ADD_FAILURE() << "system call " << number << ": " << times;
}

}  // namespace
}  // namespace hansa::test
