#include "tests/support/hosts.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace hansa::test {

void enter_host(int index, int count) {
  const char* text = std::getenv("TEST_HOSTS");
  if (text == nullptr) return;
  std::vector<pid_t> keepers;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) keepers.push_back(std::stoi(word));
  const std::size_t host = static_cast<std::size_t>(index) * keepers.size() / static_cast<std::size_t>(count);
  const int keeper = static_cast<int>(syscall(SYS_pidfd_open, keepers.at(host), 0));
  if (keeper < 0 || setns(keeper, CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) != 0) {
    std::perror("entering a host of TEST_HOSTS");
    std::_Exit(7);
  }
  close(keeper);
}

}  // namespace hansa::test
