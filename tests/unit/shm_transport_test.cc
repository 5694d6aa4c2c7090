// What the shm transport refuses: hostile cells, other users, strangers.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "control/fd_exchange.hpp"
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
  EXPECT_EQ(other.value()->status().code(), Code::kRemote);
  EXPECT_TRUE(one.value()->status().ok());
}

TEST(Shm, ConnectsOnlyToWhomTheSecretWasGiven) {
  const auto transport = open_shm(options_of(0), kSlots);
  ASSERT_TRUE(transport.ok());
  const auto address = transport.value()->address();
  in_child([&] { return connect_to(address).ok(); });
  auto forged = address;
  // The token; and the file's name, which shows a process that may trace the owner that it has the right one.
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

TEST(Shm, RefusesShapesThatTheFlagCannotTell) {
  for (const SlotShape shape :
       {SlotShape{64, 3}, {64, 1}, {64, 0}, {64, 1u << 15}, {0, 4}, {65, 4}, {128 * 1024, 4}}) {
    EXPECT_EQ(open_shm(options_of(0), shape).status().code(), Code::kInvalidArgument)
        << shape.bytes << " " << shape.count;
  }
}

}  // namespace
}  // namespace hansa::test
