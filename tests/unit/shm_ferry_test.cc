// Two ends of a Ferry, moved on by turns.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <thread>
#include <vector>

#include "transports/shm/ferry.hpp"

namespace hansa::shm {
namespace {

constexpr Layout kLayout{{1024, 4}, 1, 4};
constexpr std::size_t kCell = Layout::kFerryCell;

class Region {
 public:
  Region() : at_(mmap(nullptr, kLayout.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
  ~Region() { munmap(at_, kLayout.bytes()); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  std::byte* data() const { return static_cast<std::byte*>(at_); }

 private:
  void* at_;
};

std::vector<std::byte> numbered(std::size_t bytes, unsigned first) {
  std::vector<std::byte> made(bytes);
  for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>(first + i % 251);
  return made;
}

std::uint64_t address_of(const std::vector<std::byte>& memory) {
  return reinterpret_cast<std::uintptr_t>(memory.data());
}

// The parameter: how long 1 KiB may take before cells are streamed. Less than 0 streams nearly all of them.
class FerryTest : public testing::TestWithParam<std::chrono::nanoseconds> {
 protected:
  // Until neither end has anything to do.
  void run() {
    for (bool moved = true; moved;) {
      moved = left_.poll();
      moved = right_.poll() || moved;
    }
  }
  // The left one, by the right one and for sure.
  void expect_blamed(std::string_view deed) {
    const std::string_view text = right_.failure().message();
    EXPECT_EQ(right_.failure().code(), Code::kDamaged);
    EXPECT_TRUE(text.starts_with("rank 0 ") && text.find(deed) != text.npos) << text;
    EXPECT_TRUE(left_.failure().ok());
  }
  Region to_left_, to_right_;
  Ferry left_{1, to_left_.data(), to_right_.data(), kLayout, StoreGauge(GetParam())};
  Ferry right_{0, to_right_.data(), to_left_.data(), kLayout, StoreGauge(GetParam())};
};

TEST_P(FerryTest, Gets) {
  for (const std::size_t bytes : {std::size_t{1}, kCell - 1, kCell, kCell + 1, 50 * kCell + 7}) {
    const auto from = numbered(bytes, 1);
    std::vector<std::byte> into(bytes);
    right_.offer(from);
    Completion done;
    left_.get(address_of(from), into, done);
    EXPECT_EQ(done.state, Completion::State::kPending);
    run();
    EXPECT_EQ(done.state, Completion::State::kDone);
    EXPECT_EQ(into, from) << bytes;
  }
}

TEST_P(FerryTest, PutsBeforeWhatIsSentBehind) {
  for (const std::size_t bytes : {std::size_t{1}, kCell, 3 * kCell + 5}) {
    const auto from = numbered(bytes, 2);
    std::vector<std::byte> into(bytes);
    right_.offer(into);
    Completion done;
    left_.put(address_of(into), from, done);
    while (done.state == Completion::State::kPending) ASSERT_TRUE(left_.poll());
    right_.take_all();
    EXPECT_EQ(into, from) << bytes;
  }
}

TEST_P(FerryTest, MovesAllAtOnce) {
  constexpr std::size_t kBytes = 40 * kCell + 3;
  const auto left = numbered(kBytes, 3), right = numbered(kBytes, 4);
  std::vector<std::byte> got_left(kBytes), got_right(kBytes), put_left(kBytes), put_right(kBytes);
  left_.offer(left), right_.offer(right), left_.offer(put_left), right_.offer(put_right);
  Completion done[4];
  left_.get(address_of(right), got_left, done[0]);
  right_.get(address_of(left), got_right, done[1]);
  left_.put(address_of(put_right), left, done[2]);
  right_.put(address_of(put_left), right, done[3]);
  run();
  for (const Completion& one : done) EXPECT_EQ(one.state, Completion::State::kDone);
  EXPECT_EQ(got_left, right);
  EXPECT_EQ(got_right, left);
  EXPECT_EQ(put_left, right);
  EXPECT_EQ(put_right, left);
}

// One after the other, each to its end; when no more fit, those begun are not hurt.
TEST_P(FerryTest, TakesSeveralOfAKind) {
  constexpr std::size_t kBytes = 4 * kCell + 9;  // more than the ring holds
  const std::vector<std::byte> empty(kBytes);
  for (unsigned round = 0; round < 2; ++round) {
    std::vector<std::vector<std::byte>> from, got(Ferry::kMost + 1, empty), put(Ferry::kMost + 1, empty);
    for (unsigned i = 0; i <= Ferry::kMost; ++i) from.push_back(numbered(kBytes, i + round));
    for (unsigned i = 0; i <= Ferry::kMost; ++i) right_.offer(from[i]), right_.offer(put[i]);
    Completion fetched[Ferry::kMost + 1], brought[Ferry::kMost + 1];
    for (std::size_t i = 0; i <= Ferry::kMost; ++i) {
      EXPECT_EQ(left_.get(address_of(from[i]), got[i], fetched[i]), i < Ferry::kMost);
      EXPECT_EQ(left_.put(address_of(put[i]), from[i], brought[i]), i < Ferry::kMost) << i;
    }
    run();
    for (std::size_t i = 0; i < Ferry::kMost; ++i) {
      EXPECT_EQ(fetched[i].state, Completion::State::kDone) << i;
      EXPECT_EQ(brought[i].state, Completion::State::kDone) << i;
      EXPECT_EQ(got[i], from[i]) << i;
      EXPECT_EQ(put[i], from[i]) << i;
    }
    EXPECT_TRUE(left_.failure().ok() && right_.failure().ok());
    EXPECT_EQ(fetched[Ferry::kMost].state, Completion::State::kPending);
    EXPECT_EQ(got[Ferry::kMost], empty);
    EXPECT_EQ(put[Ferry::kMost], empty);
  }
}

TEST_P(FerryTest, ReachesOnlyWhatWasOffered) {
  const auto from = numbered(100, 5);
  std::vector<std::byte> into(100), kept = into;
  right_.offer(BytesView(from).first(99));
  Completion done;
  left_.get(address_of(from), into, done);
  run();
  expect_blamed("asked for memory that was not offered");
  EXPECT_EQ(done.state, Completion::State::kPending);
  EXPECT_EQ(into, kept);
}

// Of many buffers that are used in turn, one comes again just when its place is the next to be taken.
TEST_P(FerryTest, KeepsWhatIsOfferedAgain) {
  const auto from = numbered(100, 8);
  std::vector<std::byte> others(4096), into(100);
  for (std::size_t apart = 1; apart < 2048; ++apart) {
    right_.offer(from);
    for (std::size_t i = 0; i < apart; ++i) right_.offer(BytesView(others).subspan(2 * i, 1));
    right_.offer(from);
    for (std::size_t i = 0; i < 256; ++i) right_.offer(BytesView(others).subspan(2 * i + 1, 1));
    Completion done;
    left_.get(address_of(from), into, done);
    run();
    ASSERT_EQ(done.state, Completion::State::kDone) << apart;
  }
}

TEST_P(FerryTest, BringsOnlyToWhatWasOffered) {
  const auto from = numbered(100, 6);
  std::vector<std::byte> into(100), kept = into;
  right_.offer(BytesView(into).subspan(1));
  Completion done;
  left_.put(address_of(into), from, done);
  run();
  expect_blamed("brought bytes to memory that was not offered");
  EXPECT_EQ(into, kept);
}

TEST_P(FerryTest, StopsForGood) {
  const auto from = numbered(3 * kCell, 7);
  std::vector<std::byte> into(3 * kCell), kept = into;
  right_.offer(into);
  Completion done;
  left_.put(address_of(into), from, done);
  right_.stop();
  run();
  right_.take_all();
  EXPECT_EQ(into, kept);
}

INSTANTIATE_TEST_SUITE_P(Fill, FerryTest,
                         testing::Values(std::chrono::nanoseconds(-1), std::chrono::seconds(1)));

// Both ends at once, as two processes have it: each brings and fetches, over and over.
TEST(Ferry, RunsOnTwoThreads) {
  constexpr std::size_t kBytes = 9 * kCell + 11;
  Region to_left, to_right;
  Ferry left(1, to_left.data(), to_right.data(), kLayout), right(0, to_right.data(), to_left.data(), kLayout);
  const auto one = numbered(kBytes, 8), two = numbered(kBytes, 9);
  std::vector<std::byte> got_left(kBytes), got_right(kBytes), put_left(kBytes), put_right(kBytes);
  left.offer(one), right.offer(two), left.offer(put_left), right.offer(put_right);
  std::atomic<int> over = 0;
  const auto work = [&](Ferry& ferry, const auto& own, const auto& from, auto& got, const auto& to) {
    for (int round = 0; round < 50; ++round) {
      Completion fetched, brought;
      ferry.get(address_of(from), got, fetched);
      ferry.put(address_of(to), own, brought);
      while (fetched.state == Completion::State::kPending || brought.state == Completion::State::kPending)
        ferry.poll();
    }
    ++over;
    while (over < 2) ferry.poll();
    ferry.take_all();
  };
  std::thread other([&] { work(right, two, one, got_right, put_left); });
  work(left, one, two, got_left, put_right);
  other.join();
  EXPECT_EQ(got_left, two);
  EXPECT_EQ(got_right, one);
  EXPECT_EQ(put_left, two);
  EXPECT_EQ(put_right, one);
}

}  // namespace
}  // namespace hansa::shm
