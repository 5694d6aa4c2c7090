// What the shm transport refuses: hostile cells, other users, strangers. And what memory it takes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <thread>

#include "base/shared_memory.hpp"
#include "control/fd_exchange.hpp"
#include "transports/process.hpp"
#include "transports/shm/peer_memory.hpp"
#include "transports/shm/ring.hpp"
#include "transports/shm/shm.hpp"

namespace hansa::test {
namespace {

TransportOptions options_of(Rank rank) { return {.rank = rank, .ranks = 2, .lanes = 1, .communicator = 3}; }

// Runs `good` in a forked process.
void in_child(const std::function<bool()>& good) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(good() ? 0 : 1);
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0) << "wait status " << how;
}

constexpr SlotShape kSlots{1024, 4};

Status connect_to(const std::vector<std::byte>& address) {
  const auto transport = open_shm(options_of(1), kSlots);
  return transport.ok() ? transport.value()->connect(0, address).status() : transport.status();
}

TEST(Shm, ACellLongerThanASlotFailsTheTransport) {
  const auto one = open_shm(options_of(0), kSlots);
  const auto other = open_shm(options_of(1), kSlots);
  ASSERT_TRUE(one.ok() && other.ok());
  const auto there = one.value()->connect(1, other.value()->address());
  const auto here = other.value()->connect(0, one.value()->address());
  ASSERT_TRUE(there.ok() && here.ok());
  there.value()->commit(0, static_cast<std::uint32_t>(kSlots.bytes) + 1, 0);
  EXPECT_EQ(here.value()->peek(0, 0).data, nullptr);
  EXPECT_EQ(other.value()->status().code(), Code::kDamaged);
  EXPECT_TRUE(one.value()->status().ok());
}

// What lies on the billboard of a rank that has none, or of three, outside of it.
TEST(Shm, APostThatIsNoneFailsTheTransport) {
  struct Wrong {
    Rank ranks;
    std::uint32_t slot, bytes;
  };
  for (const Wrong& wrong : {Wrong{2, 0, 8}, Wrong{3, kSlots.count, 8}, Wrong{3, ~0u, 8},
                             Wrong{3, 0, static_cast<std::uint32_t>(kSlots.bytes) + 1}}) {
    TransportOptions options = options_of(0);
    options.ranks = wrong.ranks;
    const auto one = open_shm(options, kSlots);
    options.rank = 1;
    const auto other = open_shm(options, kSlots);
    ASSERT_TRUE(one.ok() && other.ok());
    const auto there = one.value()->connect(1, other.value()->address());
    const auto here = other.value()->connect(0, one.value()->address());
    ASSERT_TRUE(there.ok() && here.ok());
    std::memcpy(there.value()->reserve(0, 0), &wrong.slot, sizeof wrong.slot);
    there.value()->commit(0, shm::kPosted | wrong.bytes, 0);
    EXPECT_EQ(here.value()->peek(0, 0).data, nullptr);
    EXPECT_EQ(other.value()->status().code(), Code::kDamaged);
  }
}

// How large a message has to be to be written past the caches, after `count` whose filling took so long.
std::size_t streams_after(Endpoint& there, Endpoint& here, int count, std::chrono::microseconds took) {
  for (int i = 0; i < count; ++i) {
    there.reserve(0, 0);
    if (took.count() > 0) std::this_thread::sleep_for(took);
    there.commit(0, Capabilities::kLeastStreamed, 0);
    here.release(0);
  }
  return there.capabilities().streams_from;
}

TEST(Shm, SlotsThatFillSlowlyAreWrittenPastTheCachesForAWhile) {
  constexpr SlotShape kLarge{Capabilities::kLeastStreamed, 4};
  constexpr auto kSlow = std::chrono::microseconds(20), kUnknown = std::chrono::microseconds(0);
  const auto one = open_shm(options_of(0), kLarge), other = open_shm(options_of(1), kLarge);
  ASSERT_TRUE(one.ok() && other.ok());
  const auto there = one.value()->connect(1, other.value()->address());
  const auto here = other.value()->connect(0, one.value()->address());
  ASSERT_TRUE(there.ok() && here.ok());
  EXPECT_EQ(there.value()->capabilities().streams_from, SIZE_MAX);
  EXPECT_EQ(streams_after(*there.value(), *here.value(), 64, kSlow), Capabilities::kLeastStreamed);
  bool ended = false;
  for (int i = 0; i < 1000 && !ended; ++i)
    ended = streams_after(*there.value(), *here.value(), 1, kUnknown) == SIZE_MAX;
  EXPECT_TRUE(ended);
}

// A process that lends one page of memory.
class Lender {
 public:
  static constexpr std::uint64_t kKey = 7;

  Lender()
      : shown_(new (mmap(nullptr, sizeof(Shown), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                   Shown),
        child_(fork()) {
    if (child_ < 0) std::abort();
    if (child_ == 0) {
      const auto provider = control::FdProvider::create();
      const auto file = create_shared_memory("lent", page_bytes());
      if (!provider.ok() || !file.ok() || !provider.value()->offer(kKey, file.value()).ok()) _exit(1);
      shown_->fds = provider.value()->address();
      shown_->ready.store(true, std::memory_order_release);
      for (;;) pause();
    }
    while (!shown_->ready.load(std::memory_order_acquire)) usleep(500);
  }
  ~Lender() {
    int how = 0;
    kill(child_, SIGKILL);
    EXPECT_EQ(waitpid(child_, &how, 0), child_);
    munmap(shown_, sizeof(Shown));
  }
  Lender(const Lender&) = delete;
  shm::PeerMemory memory() const {
    return shm::PeerMemory({.process = process_identity() + 1, .pid = child_}, shown_->fds);
  }
  static Descriptor page() { return {.bytes = page_bytes(), .allocation = kKey}; }
  void stop() const {
    int how = 0;
    kill(child_, SIGSTOP);
    ASSERT_EQ(waitpid(child_, &how, WUNTRACED), child_);
  }
  void go_on() const { kill(child_, SIGCONT); }

 private:
  struct Shown {
    std::atomic<bool> ready{false};
    control::FdAddress fds;
  };
  Shown* shown_;
  pid_t child_;
};

// Who is stopped while its memory is asked for has not refused it for ever.
TEST(Shm, MemoryOfAStoppedProcessIsMappedOnceItGoesOn) {
  const Lender lender;
  shm::PeerMemory memory = lender.memory();
  lender.stop();
  EXPECT_EQ(memory.map(Lender::page()), nullptr);
  lender.go_on();
  std::byte* mapped = nullptr;
  for (int i = 0; i < 10'000 && mapped == nullptr; ++i, usleep(1000)) mapped = memory.map(Lender::page());
  EXPECT_NE(mapped, nullptr);
}

// It is asked again and again, but every call that reaches for its memory waits for that.
TEST(Shm, WhoDidNotAnswerIsNotWaitedForAgain) {
  using Clock = std::chrono::steady_clock;
  const Lender lender;
  shm::PeerMemory memory = lender.memory();
  lender.stop();
  EXPECT_EQ(memory.map(Lender::page()), nullptr);
  auto longest = Clock::duration::zero();
  const auto end = Clock::now() + std::chrono::milliseconds(1300);
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    usleep(1000);
    EXPECT_EQ(memory.map(Lender::page()), nullptr);
    longest = std::max(longest, Clock::now() - now);
  }
  EXPECT_LT(longest, std::chrono::milliseconds(300));
}

TEST(Shm, ConnectsOnlyToWhomTheSecretWasGiven) {
  const auto transport = open_shm(options_of(0), kSlots);
  ASSERT_TRUE(transport.ok());
  const auto address = transport.value()->address();
  in_child([&] { return connect_to(address).ok(); });
  auto forged = address;
  // The token; and the file, whose number shows a process that may trace the owner that it has the right one.
  forged[forged.size() - sizeof(control::FileOfProcess) - 1] ^= std::byte{1};
  forged.back() ^= std::byte{1};
  in_child([&] { return connect_to(forged).code() == Code::kUnsupported; });
}

TEST(Shm, AnotherUserIsOutOfReach) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const auto transport = open_shm(options_of(0), kSlots);
  ASSERT_TRUE(transport.ok());
  const auto address = transport.value()->address();
  in_child([&] {
    if (setuid(65534) != 0) return false;
    const Status refused = connect_to(address);
    return refused.code() == Code::kUnsupported && !refused.message().empty();
  });
}

// Of the memory files that this process has open.
long backed_pages() {
  long pages = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat about {};
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink == 0)
      pages += about.st_blocks * 512 / static_cast<long>(page_bytes());
  }
  return pages / 2;  // an inbox and its provider's duplicate
}

TEST(Shm, OnlyLanesInUseTakeMemory) {
  const auto zero = create_shared_memory("hansa-test", page_bytes());
  ASSERT_TRUE(zero.ok());
  std::byte* const page = map_shared_memory(zero.value(), 0, page_bytes()).value();
  const bool by_lane = back_mapping(page, page_bytes()).value();
  munmap(page, page_bytes());
  close(zero.value());
  TransportOptions options[2] = {options_of(0), options_of(1)};
  options[0].lanes = options[1].lanes = 4;
  const SlotShape slots{16 * 1024, 16};
  const long lane = static_cast<long>(16 * (slots.bytes + 64) / page_bytes());
  const long before = backed_pages();
  const auto one = open_shm(options[0], slots), other = open_shm(options[1], slots);
  ASSERT_TRUE(one.ok() && other.ok());
  const auto there = one.value()->connect(1, other.value()->address());
  const auto here = other.value()->connect(0, one.value()->address());
  ASSERT_TRUE(there.ok() && here.ok());
  const long connected = backed_pages() - before;
  EXPECT_GE(connected, 2);
  ASSERT_NE(there.value()->reserve(2, 15), nullptr);
  EXPECT_EQ(here.value()->peek(2, 0).data, nullptr);
  const long used = backed_pages() - before;
  if (!by_lane) {
    EXPECT_EQ(connected, used);
    return;
  }
  EXPECT_LT(connected, lane);
  EXPECT_GE(used, connected + lane - 1);
  EXPECT_LE(used, connected + lane + 2);
}

TEST(Shm, RanksCopyWhereThatIsFasterOrAskedFor) {
  TransportOptions options = options_of(0);
  options.ranks = 4;
  EXPECT_TRUE(wants_ferry(options, true, 4));
  EXPECT_FALSE(wants_ferry(options, true, 3));
  EXPECT_FALSE(wants_ferry(options, false, 4));
  options.ranks = 1000;
  EXPECT_FALSE(wants_ferry(options, true, 4));
  options.neighbours = 4;  // the others are elsewhere
  EXPECT_TRUE(wants_ferry(options, true, 4));
  options.copier = Copier::kRanks;
  EXPECT_TRUE(wants_ferry(options, false, 1));
  options.copier = Copier::kSlots;
  EXPECT_FALSE(wants_ferry(options, true, 4));
}

TEST(Shm, RefusesShapesThatTheFlagCannotTell) {
  for (const SlotShape shape :
       {SlotShape{64, 3}, {64, 1}, {64, 0}, {64, 1u << 15}, {0, 4}, {65, 4}, {128 * 1024, 4}}) {
    EXPECT_EQ(open_shm(options_of(0), shape).status().code(), Code::kInvalidArgument)
        << shape.bytes << " " << shape.count;
  }
}

}  // namespace
}  // namespace hansa::test
