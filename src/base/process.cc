#include "base/process.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

namespace hansa {
namespace {

// A page that the kernel wipes in a forked child (no handler needed), and what comes after the last number.
struct Marker {
  std::atomic<std::uint64_t>* page;
  std::atomic<std::uint64_t> last{0};

  Marker() {
    void* memory = mmap(nullptr, static_cast<std::size_t>(getpagesize()), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED &&
        madvise(memory, static_cast<std::size_t>(getpagesize()), MADV_WIPEONFORK) == 0)
      page = static_cast<std::atomic<std::uint64_t>*>(memory);
    else
      page = new std::atomic<std::uint64_t>(1);  // a kernel before 4.14: forks go unnoticed
  }
};

Marker& marker() {
  static Marker* const marker = new Marker;
  return *marker;
}

}  // namespace

const std::atomic<std::uint64_t>& process_generation_word() noexcept { return *marker().page; }

std::uint64_t process_generation() noexcept {
  const std::uint64_t generation = marker().page->load(std::memory_order_relaxed);
  if (generation != 0) return generation;
  std::uint64_t fresh = marker().last.fetch_add(1) + 1, none = 0;
  return marker().page->compare_exchange_strong(none, fresh) ? fresh : none;
}

}  // namespace hansa
