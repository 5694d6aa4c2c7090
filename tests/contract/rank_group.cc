#include "tests/contract/rank_group.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <new>
#include <span>
#include <thread>
#include <utility>

namespace hansa::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(40);
constexpr std::uint32_t kPollsPerYield = 16;
constexpr Rank kMostRanks = 16;
constexpr std::size_t kMostAddress = 1024;

}  // namespace

// What the ranks of a group share, whether they are threads or processes.
struct Board {
  std::atomic<std::uint32_t> arrived{0};
  std::atomic<std::uint32_t> generation{0};
  std::atomic<bool> failed{false};
  struct {
    std::size_t bytes = 0;
    std::byte address[kMostAddress];
  } rank[kMostRanks];
};

void TestRank::poll() {
  if (transport_) transport_->poll();
  if (const auto another = another_.lock()) another->poll();
}

bool TestRank::patient(Clock::time_point& deadline) {
  if (transport_ && !transport_->status().ok()) {
    ADD_FAILURE() << "rank " << rank_ << ": " << transport_->status().c_str();
    board_.failed.store(true);
  }
  const bool still = std::exchange(stalled_, true);
  if (!still) deadline = Clock::now() + kPatience;
  if (!board_.failed.load() && Clock::now() > deadline) {
    ADD_FAILURE() << "rank " << rank_ << " waited in vain";
    board_.failed.store(true);
  }
  return !board_.failed.load();
}

bool TestRank::wait(const std::function<bool()>& ready) {
  auto deadline = Clock::now() + kPatience;
  for (std::uint32_t polls = 1; !ready(); ++polls) {
    poll();
    // Never asleep, and on a busy machine a yield is as good as a sleep: `ready` may do a little each time.
    if (polls % kPollsPerYield != 0) continue;
    std::this_thread::yield();
    if (!patient(deadline)) return false;
  }
  return true;
}

void TestRank::poll_for(std::chrono::milliseconds time) {
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
    poll();
    std::this_thread::yield();
  }
}

// Which generation must be over for all to have arrived.
std::uint32_t TestRank::arrive() {
  const std::uint32_t generation = board_.generation.load();
  if (board_.arrived.fetch_add(1) + 1 == static_cast<std::uint32_t>(ranks())) {
    board_.arrived.store(0);
    board_.generation.fetch_add(1);
  }
  return generation;
}

bool TestRank::barrier() {
  return wait([this, generation = arrive()] { return board_.generation.load() != generation; });
}

bool TestRank::rest() {
  const std::uint32_t generation = arrive();
  auto deadline = Clock::now() + kPatience;
  while (board_.generation.load() == generation) {
    if (!patient(deadline)) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

bool TestRank::connect(std::uint64_t communicator) {
  const TransportOptions wish{
      .rank = rank_, .ranks = ranks(), .lanes = lanes(), .communicator = communicator, .memory = memory_};
  auto opened = options_.open(wish);
  std::vector<std::byte> address;
  if (opened.ok()) {
    transport_ = std::move(opened).value();
    address = transport_->address();
  }
  EXPECT_TRUE(opened.ok()) << opened.status().c_str();
  EXPECT_LE(address.size(), kMostAddress);
  if (!opened.ok() || address.size() > kMostAddress) board_.failed.store(true);
  auto& mine = board_.rank[rank_];
  mine.bytes = address.size();
  std::memcpy(mine.address, address.data(), std::min(address.size(), kMostAddress));
  if (!barrier()) return false;
  for (Rank peer = 0; peer < ranks(); ++peer) {
    const auto& theirs = board_.rank[peer];
    auto connected = transport_->connect(peer, std::span(theirs.address, theirs.bytes));
    EXPECT_TRUE(connected.ok()) << connected.status().c_str();
    if (!connected.ok()) board_.failed.store(true);
    peers_.push_back(connected.ok() ? std::move(connected).value() : nullptr);
  }
  return barrier() && !board_.failed.load();
}

std::shared_ptr<TestRank> TestRank::another(std::uint64_t communicator) {
  auto second = std::make_shared<TestRank>(board_, rank_, options_, memory_);
  another_ = second;
  return second->connect(communicator) ? second : nullptr;
}

void TestRank::drop_all() {
  peers_.clear();
  transport_.reset();
}

namespace {

void run_one(Board& board, Rank rank, const GroupOptions& options, Memory* memory,
             const std::function<void(TestRank&)>& body) {
  TestRank self(board, rank, options, memory);
  if (self.connect(0x1234)) body(self);
  if (testing::Test::HasFailure()) board.failed.store(true);
  self.barrier();
}

void run_threads(Board& board, const GroupOptions& options, const std::function<void(TestRank&)>& body) {
  const auto memory = options.memory ? options.memory() : nullptr;
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < options.ranks; ++rank) {
    threads.emplace_back([&, rank] { run_one(board, rank, options, memory.get(), body); });
  }
  for (auto& thread : threads) thread.join();
}

void run_processes(Board& board, const GroupOptions& options, const std::function<void(TestRank&)>& body) {
  std::vector<pid_t> children;
  for (Rank rank = 0; rank < options.ranks; ++rank) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      {
        const auto memory = options.memory ? options.memory() : nullptr;
        run_one(board, rank, options, memory.get(), body);
      }
      fflush(nullptr);
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  const auto deadline = Clock::now() + 2 * kPatience;
  while (!children.empty()) {
    std::erase_if(children, [&](pid_t child) {
      int how = 0;
      if (waitpid(child, &how, WNOHANG) == 0) return false;
      const bool good = WIFEXITED(how) && WEXITSTATUS(how) == 0;
      EXPECT_TRUE(good) << "a rank's process ended with wait status " << how;
      if (!good) board.failed.store(true);
      return true;
    });
    if (Clock::now() > deadline) {
      for (const pid_t child : children) kill(child, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

void run_ranks(const GroupOptions& options, const std::function<void(TestRank&)>& body) {
  ASSERT_LE(options.ranks, kMostRanks);
  void* shared = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* board = new (shared) Board;
  if (options.as == RunAs::kThreads) run_threads(*board, options, body);
  if (options.as == RunAs::kProcesses) run_processes(*board, options, body);
  munmap(shared, sizeof(Board));
}

}  // namespace hansa::test
