// The program's signals stay the program's.
#include "base/signals.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "transports/libfabric/library.hpp"

namespace hansa {
namespace {

void own_handler(int) {}
void library_handler(int) {}

bool blocked(int number) {
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, nullptr, &now);
  return sigismember(&now, number) == 1;
}

TEST(SignalsBlocked, InThreadsThatStartMeanwhile) {
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, nullptr);
  bool there = false;
  std::thread thread;
  {
    const SignalsBlocked in_the_thread;
    thread = std::thread([&] { there = blocked(SIGTERM) && blocked(SIGUSR1) && blocked(SIGRTMIN); });
    EXPECT_TRUE(blocked(SIGTERM));
  }
  thread.join();
  EXPECT_TRUE(there);
  EXPECT_FALSE(blocked(SIGTERM));
  EXPECT_TRUE(blocked(SIGUSR1)) << "as it was before";
  pthread_sigmask(SIG_UNBLOCK, &usr1, nullptr);
}

TEST(HandlersKept, WhateverALibrarySets) {
  signal(SIGTERM, SIG_DFL);
  signal(SIGUSR2, own_handler);
  signal(SIGHUP, SIG_IGN);
  {
    const HandlersKept handlers;
    for (const int number : {SIGTERM, SIGUSR2, SIGHUP}) signal(number, library_handler);
  }
  EXPECT_EQ(SIG_DFL, signal(SIGTERM, SIG_DFL));
  EXPECT_EQ(own_handler, signal(SIGUSR2, SIG_DFL));
  EXPECT_EQ(SIG_IGN, signal(SIGHUP, SIG_DFL));
}

using Handler = void (*)(int);

Handler handler_of(int number) {
  struct sigaction now {};
  sigaction(number, nullptr, &now);
  return now.sa_handler;
}

// libinfinipath, which Debian's libfabric comes with, sets handlers when it is loaded.
TEST(HandlersKept, BesideLibfabric) {
  const Handler segv = handler_of(SIGSEGV);
  ASSERT_EQ(SIG_DFL, handler_of(SIGTERM));
  (void)libfabric::Library::load();
  EXPECT_EQ(SIG_DFL, handler_of(SIGTERM));
  EXPECT_EQ(segv, handler_of(SIGSEGV));
}

}  // namespace
}  // namespace hansa
