// Descriptors pass between processes of one user; nothing else passes, and nobody can hold the provider up.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "control/fd_exchange.hpp"
#include "control/local_socket.hpp"

namespace hansa::control {
namespace {

using std::chrono::milliseconds;

Descriptor memory_with(const char* text) {
  Descriptor fd(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(static_cast<ssize_t>(strlen(text)), pwrite(fd.get(), text, strlen(text), 0));
  return fd;
}

std::string content_of(const Descriptor& fd) {
  char text[64] = {};
  EXPECT_GE(pread(fd.get(), text, sizeof text - 1, 0), 0);
  return text;
}

TEST(FdExchange, PassesADescriptorWithinTheProcessAndKeepsItsOwnCopy) {
  auto provider = FdProvider::create();
  ASSERT_TRUE(provider.ok()) << provider.status().c_str();
  ASSERT_TRUE(provider.value()->offer(7, memory_with("seven").get()).ok());  // ours is closed right after
  ASSERT_TRUE(provider.value()->offer(8, memory_with("eight").get()).ok());
  auto seven = fetch_fd(provider.value()->address(), 7, milliseconds(5000));
  ASSERT_TRUE(seven.ok()) << seven.status().c_str();
  EXPECT_EQ("seven", content_of(seven.value()));
  EXPECT_TRUE(fcntl(seven.value().get(), F_GETFD) & FD_CLOEXEC);
  auto again = fetch_fd(provider.value()->address(), 7, milliseconds(5000));
  EXPECT_TRUE(again.ok());
  EXPECT_EQ(Code::kInternal, provider.value()->offer(8, seven.value().get()).code());
}

TEST(FdExchange, RefusesUnknownKeysWrongTokensAndForeignBytes) {
  auto provider = FdProvider::create();
  ASSERT_TRUE(provider.ok());
  ASSERT_TRUE(provider.value()->offer(1, memory_with("one").get()).ok());
  EXPECT_EQ(Code::kSystem, fetch_fd(provider.value()->address(), 2, milliseconds(5000)).status().code());
  FdAddress wrong = provider.value()->address();
  wrong.back() ^= std::byte{1};
  EXPECT_EQ(Code::kSystem, fetch_fd(wrong, 1, milliseconds(5000)).status().code());
  wrong = provider.value()->address();
  wrong.front() ^= std::byte{1};
  EXPECT_EQ(Code::kSystem, fetch_fd(wrong, 1, milliseconds(5000)).status().code());
  EXPECT_EQ(Code::kInvalidArgument, fetch_fd({}, 1, milliseconds(5000)).status().code());
  provider.value()->withdraw(1);
  EXPECT_FALSE(fetch_fd(provider.value()->address(), 1, milliseconds(5000)).ok());
}

// One socket listens for all, but each is its own: no token opens another's door, and one may end before
// another.
TEST(FdExchange, ProvidersOfAProcessAreApart) {
  auto first = FdProvider::create(), second = FdProvider::create();
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE(first.value()->offer(1, memory_with("first").get()).ok());
  ASSERT_TRUE(second.value()->offer(1, memory_with("second").get()).ok());
  const FdAddress gone = first.value()->address(), stays = second.value()->address();
  EXPECT_EQ("first", content_of(fetch_fd(gone, 1, milliseconds(5000)).value()));
  EXPECT_EQ("second", content_of(fetch_fd(stays, 1, milliseconds(5000)).value()));
  // Half of one token with half of the other's.
  FdAddress mixed = stays;
  std::copy(gone.end() - 8, gone.end(), mixed.end() - 8);
  EXPECT_FALSE(fetch_fd(mixed, 1, milliseconds(5000)).ok());
  first.value().reset();
  EXPECT_FALSE(fetch_fd(gone, 1, milliseconds(5000)).ok());
  EXPECT_EQ("second", content_of(fetch_fd(stays, 1, milliseconds(5000)).value()));
  second.value().reset();
  EXPECT_FALSE(fetch_fd(stays, 1, milliseconds(5000)).ok());
  auto third = FdProvider::create();
  ASSERT_TRUE(third.ok() && third.value()->offer(1, memory_with("third").get()).ok());
  EXPECT_EQ("third", content_of(fetch_fd(third.value()->address(), 1, milliseconds(5000)).value()));
}

TEST(BorrowFd, TakesThatVeryFileOfAnotherProcessOrNothing) {
  const Descriptor fd = memory_with("borrowed");
  const auto file = file_of_this_process(fd.get());
  ASSERT_TRUE(file.ok());
  const pid_t child = fork();
  if (child == 0) {
    // A kernel that does not allow it is no failure: there is fetch_fd().
    const auto borrowed = borrow_fd(file.value());
    if (!borrowed.ok()) _exit(1);
    if (content_of(borrowed.value()) != "borrowed" || !(fcntl(borrowed.value().get(), F_GETFD) & FD_CLOEXEC))
      _exit(2);
    FileOfProcess wrong = file.value();
    ++wrong.inode;
    if (borrow_fd(wrong).ok()) _exit(3);
    wrong = file.value();
    wrong.fd = 999'999;
    if (borrow_fd(wrong).ok()) _exit(4);
    wrong = file.value();
    wrong.pid = -1;
    _exit(borrow_fd(wrong).ok() ? 5 : 0);
  }
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  if (WEXITSTATUS(status) == 1)
    std::printf("not tried: this kernel does not let a process borrow descriptors\n");
  else
    EXPECT_EQ(0, status);
  EXPECT_FALSE(file_of_this_process(-1).ok());
}

TEST(FdExchange, SilentClientsDoNotHoldUpOthers) {
  auto provider = FdProvider::create();
  ASSERT_TRUE(provider.ok());
  ASSERT_TRUE(provider.value()->offer(1, memory_with("one").get()).ok());
  const std::string name = "hansa-fd-" + hexadecimal(BytesView(provider.value()->address()).first(16));
  std::vector<Descriptor> silent;
  for (int i = 0; i < 300; ++i) {
    auto client = connect_local(name);
    ASSERT_TRUE(client.ok()) << client.status().c_str();
    silent.push_back(std::move(client).value());
  }
  EXPECT_TRUE(fetch_fd(provider.value()->address(), 1, milliseconds(5000)).ok());
}

TEST(FdExchange, TellsTheLimitWhenThisProcessMayOpenNoMore) {
  auto provider = FdProvider::create();
  ASSERT_TRUE(provider.ok());
  ASSERT_TRUE(provider.value()->offer(1, memory_with("one").get()).ok());
  rlimit before{};
  ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
  const Descriptor next(dup(0));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next.get()) + 1;
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
  const auto fetched = fetch_fd(provider.value()->address(), 1, milliseconds(2000));
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(Code::kSystem, fetched.status().code());
  EXPECT_NE(std::string::npos, fetched.status().message().find("RLIMIT_NOFILE")) << fetched.status().c_str();
}

TEST(FdExchange, AProviderWithoutDescriptorsSaysSoAtOnce) {
  int told[2], end[2];
  ASSERT_EQ(0, pipe(told));
  ASSERT_EQ(0, pipe(end));
  const pid_t child = fork();
  if (child == 0) {
    close(end[1]);
    auto provider = FdProvider::create();
    if (!provider.ok() || !provider.value()->offer(1, memory_with("one").get()).ok()) _exit(1);
    while (dup(0) >= 0 || errno != EMFILE) {
      rlimit few{64, 64};
      setrlimit(RLIMIT_NOFILE, &few);
    }
    const FdAddress address = provider.value()->address();
    char byte;
    const bool asked = write(told[1], address.data(), address.size()) == static_cast<ssize_t>(address.size());
    _exit(asked && read(end[0], &byte, 1) == 0 ? 0 : 1);
  }
  FdAddress address;
  EXPECT_EQ(static_cast<ssize_t>(address.size()), read(told[0], address.data(), address.size()));
  for (int round = 0; round < 2; ++round) {
    const auto fetched = fetch_fd(address, 1, milliseconds(60'000));
    EXPECT_NE(std::string_view::npos, fetched.status().message().find("out of descriptors"))
        << fetched.status().c_str();
  }
  close(end[1]);
  int status = -1;
  EXPECT_EQ(child, waitpid(child, &status, 0));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  for (const int fd : {told[0], told[1], end[0]}) close(fd);
}

TEST(FdExchange, PassesBetweenProcessesAndSurvivesAForkedChild) {
  auto provider = FdProvider::create();
  ASSERT_TRUE(provider.ok());
  ASSERT_TRUE(provider.value()->offer(3, memory_with("three").get()).ok());
  const pid_t child = fork();
  if (child == 0) {
    int failures = 0;
    auto got = fetch_fd(provider.value()->address(), 3, milliseconds(5000));
    failures += !got.ok() || content_of(got.value()) != "three";
    failures += provider.value()->offer(4, 0).code() != Code::kInvalidUsage;
    provider.value().reset();  // must not disturb the parent's
    auto own = FdProvider::create();
    failures += !own.ok() || !own.value()->offer(5, got.value().get()).ok();
    failures += own.ok() && !fetch_fd(own.value()->address(), 5, milliseconds(5000)).ok();
    _exit(failures);
  }
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(0, WEXITSTATUS(status));
  EXPECT_TRUE(fetch_fd(provider.value()->address(), 3, milliseconds(5000)).ok());
}

}  // namespace
}  // namespace hansa::control
