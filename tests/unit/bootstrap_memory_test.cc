// Control threads that get no memory for what the others say: told as what it is, not as somebody's death.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "hansa/bootstrap.hpp"

namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
// Bytes that the control thread gets at once.
constinit std::atomic<std::size_t> most{kAll};

bool is_refused(std::size_t bytes) {
  char name[16] = {};
  return bytes > most.load(std::memory_order_relaxed) &&
         pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
         std::strcmp(name, "hansa-control") == 0;
}

}  // namespace

// Not inlined: the compiler would take them for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* const at = is_refused(bytes) ? nullptr : std::malloc(bytes > 0 ? bytes : 1);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}
[[gnu::noinline]] void operator delete(void* at) noexcept { std::free(at); }
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { std::free(at); }

namespace hansa {
namespace {

TEST(Memory, ThatIsLackingIsNobodysDeath) {
  constexpr Rank kRanks = 3;
  SessionOptions options;
  options.interface = "127.0.0.1";
  const auto id = create_unique_id(options);
  ASSERT_TRUE(id.ok()) << id.status().c_str();
  std::atomic<int> ready{0}, done{0};
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < kRanks; ++rank)
    threads.emplace_back([&, rank] {
      SessionOptions mine = options;
      mine.host_id = "host" + std::to_string(rank / 2);
      auto session = join(id.value(), rank, kRanks, mine);
      ASSERT_TRUE(session.ok()) << session.status().c_str();
      EXPECT_TRUE(session.value()->allgather({}).ok());
      if (++ready == kRanks) most = std::size_t{16} << 10;
      while (most == kAll) std::this_thread::yield();
      const std::vector<std::byte> large(std::size_t{60} << 10);
      const auto told = session.value()->allgather(large);
      EXPECT_FALSE(told.ok());
      const std::string text(told.status().message());
      EXPECT_NE(std::string::npos, text.find("out of memory")) << text;
      EXPECT_EQ(std::string::npos, text.find("died")) << text;
      ++done;
      while (done < kRanks) std::this_thread::yield();
      most = kAll;
      session.value()->leave();
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace hansa
