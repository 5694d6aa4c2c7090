// The allocator behind memory that every process of the host can map.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "base/shared_memory.hpp"
#include "device/host/host_memory.hpp"

namespace hansa::test {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

TEST(HostMemory, GivesZeroedPagesOfItsOwn) {
  const std::size_t before = open_descriptors();
  HostMemory memory;
  std::set<std::uint64_t> ids;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, page_bytes() - 1, page_bytes(),
                                  page_bytes() + 1, std::size_t{3'000'017}}) {
    const auto allocated = memory.allocate(bytes);
    ASSERT_TRUE(allocated.ok()) << allocated.status().c_str();
    std::byte* const base = allocated.value();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(base) % page_bytes(), 0u);
    EXPECT_TRUE(std::all_of(base, base + bytes, [](std::byte byte) { return byte == std::byte{0}; }));
    std::fill(base, base + bytes, std::byte{0xee});
    const auto found = memory.identify(base, bytes);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->base, base);
    EXPECT_GE(found->bytes, bytes);
    EXPECT_TRUE(ids.insert(found->id).second);
  }
  EXPECT_GT(open_descriptors(), before);
}

TEST(HostMemory, IdentifiesExactlyWhatItGave) {
  HostMemory memory;
  const std::size_t page = page_bytes();
  std::byte* const base = memory.allocate(2 * page).value();
  EXPECT_TRUE(memory.identify(base, 0).has_value());
  EXPECT_TRUE(memory.identify(base + 2 * page - 1, 1).has_value());
  EXPECT_TRUE(memory.identify(base, 2 * page).has_value());
  EXPECT_FALSE(memory.identify(base, 2 * page + 1).has_value());
  EXPECT_FALSE(memory.identify(base + 1, ~std::size_t{0}).has_value());
  EXPECT_FALSE(memory.identify(base + 2 * page, 0).has_value() &&
               memory.identify(base + 2 * page, 0)->base == base);
  EXPECT_FALSE(memory.identify(nullptr, 1).has_value());
  int local = 0;
  EXPECT_FALSE(memory.identify(&local, sizeof local).has_value());
  EXPECT_EQ(memory.free(base + page).code(), Code::kInvalidArgument);
  EXPECT_EQ(memory.free(&local).code(), Code::kInvalidArgument);
  EXPECT_EQ(memory.free(nullptr).code(), Code::kInvalidArgument);
  EXPECT_TRUE(memory.free(base).ok());
  EXPECT_EQ(memory.free(base).code(), Code::kInvalidArgument);
  EXPECT_FALSE(memory.identify(base, 1).has_value());
}

TEST(HostMemory, FreedMemoryGoesBackEvenWhereAPeerHasItMapped) {
  HostMemory memory;
  std::byte* const base = memory.allocate(page_bytes()).value();
  const auto fd = memory.duplicate(memory.identify(base, 1)->id);
  ASSERT_TRUE(fd.ok());
  EXPECT_TRUE(check_shared_memory(fd.value(), page_bytes()).ok());
  EXPECT_FALSE(check_shared_memory(fd.value(), page_bytes() + 1).ok());
  EXPECT_NE(ftruncate(fd.value(), 0), 0) << "nobody may shrink it under those who have it mapped";
  std::byte* const peer = map_shared_memory(fd.value(), 0, page_bytes()).value();
  base[5] = std::byte{42};
  EXPECT_EQ(peer[5], std::byte{42});
  const std::uint64_t id = memory.identify(base, 1)->id;
  EXPECT_TRUE(memory.free(base).ok());
  EXPECT_EQ(peer[5], std::byte{0});
  EXPECT_FALSE(memory.duplicate(id).ok());
  munmap(peer, page_bytes());
  close(fd.value());
}

TEST(HostMemory, MemoryThatIsLeftCanStillBeReadByAPeer) {
  HostMemory memory;
  std::byte* const base = memory.allocate(page_bytes()).value();
  const std::uint64_t id = memory.identify(base, 1)->id;
  const auto fd = memory.duplicate(id);
  ASSERT_TRUE(fd.ok());
  std::byte* const peer = map_shared_memory(fd.value(), 0, page_bytes()).value();
  base[5] = std::byte{42};
  EXPECT_TRUE(memory.leave(base).ok());
  EXPECT_EQ(peer[5], std::byte{42});
  EXPECT_FALSE(memory.duplicate(id).ok());
  EXPECT_EQ(memory.leave(base).code(), Code::kInvalidArgument);
  munmap(peer, page_bytes());
  close(fd.value());
}

TEST(HostMemory, IdentifiesWhileOthersAllocate) {
  HostMemory memory;
  std::byte* const steady = memory.allocate(1).value();
  const std::uint64_t id = memory.identify(steady, 1)->id;
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (int round = 0; round < 20; ++round) {
      std::vector<std::byte*> held;
      for (int i = 0; i < 100; ++i)
        held.push_back(memory.allocate(1).value());  // more than the first table holds
      for (std::byte* const one : held) EXPECT_TRUE(memory.free(one).ok());
    }
    stop.store(true);
  });
  while (!stop.load()) {
    const auto found = memory.identify(steady, 1);
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->id, id);
  }
  changer.join();
}

// Runs `body` under a limit in a process of its own, since limits cannot be taken back.
void under_limit(int resource, rlim_t limit, const std::function<bool()>& body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit low{limit, limit};
    _exit(setrlimit(static_cast<__rlimit_resource>(resource), &low) == 0 && body() ? 0 : 1);
  }
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0) << "wait status " << how;
}

TEST(HostMemory, NamesTheLimitThatItMet) {
  under_limit(RLIMIT_FSIZE, 1 << 20, [] {
    HostMemory memory;
    const auto refused = memory.allocate(2 << 20);
    return refused.status().code() == Code::kSystem &&
           refused.status().message().find("RLIMIT_FSIZE") != std::string_view::npos &&
           memory.allocate(1).ok();
  });
  under_limit(RLIMIT_NOFILE, 3, [] {
    HostMemory memory;
    const auto refused = memory.allocate(1);
    return refused.status().code() == Code::kSystem &&
           refused.status().message().find("RLIMIT_NOFILE") != std::string_view::npos;
  });
  HostMemory memory;
  EXPECT_FALSE(memory.allocate(~std::size_t{0}).ok());
  EXPECT_FALSE(memory.allocate(~std::size_t{0} / 2).ok());
}

}  // namespace
}  // namespace hansa::test
