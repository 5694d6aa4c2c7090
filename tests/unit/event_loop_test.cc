// The control thread, and those that stand in for it.
#include "control/event_loop.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace hansa::control {
namespace {

TEST(EventLoop, RunsTheJobsOfAllThreadsOneAtATimeAndInOrder) {
  EventLoop& loop = *EventLoop::of_this_process().value();
  constexpr int kThreads = 4, kJobs = 500;
  int jobs = 0;  // plain: thread checkers would see an overlap
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int job = 0; job < kJobs; ++job) {
        bool posted = false, before = false;
        loop.post([&] { posted = true, ++jobs; });
        loop.run([&] { before = posted, ++jobs; });
        ASSERT_TRUE(before);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(jobs, 2 * kThreads * kJobs);
}

TEST(EventLoop, ARunWithinARunDoesNotWaitForItself) {
  EventLoop& loop = *EventLoop::of_this_process().value();
  EXPECT_FALSE(loop.on_control_thread());
  bool inner = false;
  loop.run([&] { loop.run([&] { inner = loop.on_control_thread(); }); });
  EXPECT_TRUE(inner);
  EXPECT_FALSE(loop.on_control_thread());
}

TEST(EventLoop, WhatAJobThrowsIsItsCallersAndNobodyElseIsHeldUp) {
  EventLoop& loop = *EventLoop::of_this_process().value();
  EXPECT_THROW(loop.run([] { throw std::bad_alloc(); }), std::bad_alloc);
  bool ran = false;
  loop.run([&] { ran = true; });
  EXPECT_TRUE(ran);
}

// The control thread sleeps until an hour from now, or for ever, when it is set.
TEST(EventLoop, ATimerSetByAnotherThreadIsNotOverslept) {
  EventLoop& loop = *EventLoop::of_this_process().value();
  for (const bool another : {false, true}) {
    EventLoop::Token far = 0;
    if (another) loop.run([&] { far = loop.after(std::chrono::hours(1), [] {}); });
    usleep(20'000);
    std::atomic<bool> rang{false};
    loop.run([&] { loop.after(std::chrono::milliseconds(1), [&] { rang = true; }); });
    while (!rang) usleep(1000);
    loop.run([&] { loop.cancel(far); });
  }
}

}  // namespace
}  // namespace hansa::control
