#include "tests/support/hosts.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace hansa::test {
namespace {

[[noreturn]] void fail() {
  std::perror("entering a host of TEST_HOSTS");
  std::_Exit(7);
}

}  // namespace

void enter_host(int index, int count) {
  const char* text = std::getenv("TEST_HOSTS");
  if (text == nullptr) return;
  std::vector<pid_t> keepers;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) keepers.push_back(std::stoi(word));
  const std::size_t host = static_cast<std::size_t>(index) * keepers.size() / static_cast<std::size_t>(count);
  const int keeper = static_cast<int>(syscall(SYS_pidfd_open, keepers.at(host), 0));
  constexpr int kAll = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWPID;
  if (keeper < 0 || setns(keeper, kAll) != 0) fail();
  close(keeper);
  const pid_t child = fork();  // only children have the host's process numbers
  if (child < 0) fail();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return;
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) raise(WTERMSIG(status));
  std::_Exit(WEXITSTATUS(status));
}

}  // namespace hansa::test
