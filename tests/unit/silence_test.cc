// A host that is gone, told from a process that does not read.
#include "bootstrap/silence.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>
#include <vector>

namespace hansa::bootstrap {
namespace {

using namespace std::chrono_literals;
using Verdict = Silence::Verdict;

class Script {
 public:
  // Half a second later; `answer` before that was the last answer.
  Verdict look(std::chrono::milliseconds answer, unsigned repeats, unsigned probes = 0,
               bool under_way = true) {
    now_ += 500ms;
    return silence_.judge({under_way, answer, repeats, probes}, now_);
  }

 private:
  Silence silence_;
  Silence::Clock::time_point now_ = Silence::Clock::now();
};

TEST(Silence, AHostIsGoneThatHasNotAnsweredWhatWasSentAgain) {
  Script script;
  EXPECT_EQ(script.look(600ms, 1), Verdict::kWaiting);
  EXPECT_EQ(script.look(1100ms, 2), Verdict::kWaiting);
  EXPECT_EQ(script.look(1600ms, 3), Verdict::kWaiting);
  EXPECT_EQ(script.look(2600ms, 3), Verdict::kWaiting);
  EXPECT_EQ(script.look(3100ms, 3), Verdict::kGone);
}

TEST(Silence, WhatTheHostTakesIsForgotten) {
  Script script;
  EXPECT_EQ(script.look(2900ms, 3), Verdict::kWaiting);
  EXPECT_EQ(script.look(3900ms, 0, 0, false), Verdict::kTaken);
  EXPECT_EQ(script.look(4400ms, 1), Verdict::kWaiting) << "one try is not enough";
}

// The window is probed after 0.2 s, 0.4 s, 0.8 s ... and each probe is answered.
TEST(Silence, AFullWindowIsNoSilenceHoweverSeldomItIsProbed) {
  Script script;
  for (std::chrono::milliseconds gap = 200ms; gap < 120s; gap *= 2)
    for (std::chrono::milliseconds since = 0ms; since < gap; since += 500ms)
      ASSERT_EQ(script.look(since, 0, since + 500ms < gap ? 0 : 1), Verdict::kWaiting) << gap.count();
}

// Bytes that found no room are sent again and answered: they still wait.
TEST(Silence, AnAnswerToWhatWasSentAgainCounts) {
  Script script;
  unsigned repeats = 0;
  for (std::chrono::milliseconds gap = 500ms; gap < 120s; gap *= 2) {
    ++repeats;
    for (std::chrono::milliseconds since = 0ms; since < gap; since += 500ms)
      ASSERT_EQ(script.look(since, repeats), Verdict::kWaiting) << gap.count();
  }
}

TEST(Silence, AHostMayGoWhileItsWindowIsFull) {
  Script script;
  EXPECT_EQ(script.look(100ms, 0, 0), Verdict::kWaiting);
  EXPECT_EQ(script.look(4000ms, 0, 1), Verdict::kWaiting);
  EXPECT_EQ(script.look(9000ms, 0, 2), Verdict::kGone);
}

TEST(Silence, OnlyTcpIsLookedAt) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_FALSE(Silence::look(pair[0]).has_value());
  EXPECT_FALSE(Silence::look(-1).has_value());
  for (const int fd : pair) close(fd);
}

// What the scripts above say, as the kernel says it.
TEST(Silence, TheKernelAnswersForWhoDoesNotRead) {
  NetworkAddress here = choose_address("127.0.0.1").value();
  const auto listener = listen_tcp(&here, 0, 0).value();
  const auto fd = connect_tcp(here).value();
  control::Descriptor reader;
  for (int tries = 0; !reader.open() && tries < 1000; ++tries, std::this_thread::sleep_for(1ms))
    reader = control::Descriptor(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(reader.open());
  std::vector<char> much(1 << 20);
  std::size_t sent = 0;
  for (ssize_t took = 0; (took = ::send(fd.get(), much.data(), much.size(), MSG_DONTWAIT)) > 0;)
    sent += static_cast<std::size_t>(took);
  Silence silence;
  const auto until = Silence::Clock::now() + std::chrono::seconds(kHostLostSeconds) + 3800ms;
  std::chrono::milliseconds longest{0};
  while (Silence::Clock::now() < until) {
    std::this_thread::sleep_for(100ms);
    const auto sight = Silence::look(fd.get());
    ASSERT_TRUE(sight && sight->under_way);
    ASSERT_EQ(silence.judge(*sight), Verdict::kWaiting);
    longest = std::max(longest, sight->answer);
  }
  EXPECT_GT(longest, std::chrono::seconds(kHostLostSeconds)) << "answers came often: nothing was tried";
  while (sent > 0) {
    const auto got = ::recv(reader.get(), much.data(), much.size(), 0);
    ASSERT_GT(got, 0);
    sent -= static_cast<std::size_t>(got);
  }
}

}  // namespace
}  // namespace hansa::bootstrap
