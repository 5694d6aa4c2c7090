// AddressSanitizer's allocator is not held while a process forks (clang 14), unlike libc's: where another
// thread is just inside it, the child waits for that thread for ever. Ranks are forked here from processes
// that have the library's thread, so it is held for them. Linked into every program of a build with
// AddressSanitizer.
#include <pthread.h>

// The runtime's own, which its search for leaks uses for the same purpose; in this order.
namespace __lsan {
[[gnu::weak]] void LockThreadRegistry();
[[gnu::weak]] void UnlockThreadRegistry();
[[gnu::weak]] void LockAllocator();
[[gnu::weak]] void UnlockAllocator();
}  // namespace __lsan

namespace hansa::test {

void hold_sanitizer() {
  __lsan::LockThreadRegistry();
  __lsan::LockAllocator();
}

void release_sanitizer() {
  __lsan::UnlockAllocator();
  __lsan::UnlockThreadRegistry();
}

// Before all others that are registered, so that what those do before a fork may still allocate.
__attribute__((constructor(101))) void hold_sanitizer_over_forks() {
  if (__lsan::LockThreadRegistry == nullptr || __lsan::LockAllocator == nullptr) return;  // another runtime
  pthread_atfork(hold_sanitizer, release_sanitizer, release_sanitizer);
}

}  // namespace hansa::test
