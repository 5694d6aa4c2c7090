// A process that gets no more memory from now on: by a memory cgroup of its own where one may be made, whose
// killer then ends it, else by RLIMIT_AS, which lets its allocations fail.
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace hansa::test {

class Confinement {
 public:
  explicit Confinement(pid_t pid) {
    const std::string name = "/hansa-test-" + std::to_string(pid);
    // Version 1, then 2.
    if (confine("/sys/fs/cgroup/memory" + name, "memory.limit_in_bytes", pid)) return;
    if (confine("/sys/fs/cgroup" + name, "memory.max", pid)) return;
    const rlimit nothing{1 << 20, 1 << 20};
    prlimit(pid, RLIMIT_AS, &nothing, nullptr);
  }
  // The process has ended.
  ~Confinement() {
    for (int i = 0; i < 1000 && !group_.empty() && rmdir(group_.c_str()) != 0; ++i) usleep(1000);
  }
  Confinement(const Confinement&) = delete;
  Confinement& operator=(const Confinement&) = delete;

  const char* by() const { return group_.empty() ? "RLIMIT_AS" : "a memory cgroup"; }

 private:
  bool confine(const std::string& group, const char* limit, pid_t pid) {
    if (mkdir(group.c_str(), 0700) != 0) return false;
    group_ = group;
    if (write(limit, "262144") && write("cgroup.procs", std::to_string(pid))) return true;
    rmdir(group.c_str());
    group_.clear();
    return false;
  }
  bool write(const char* name, const std::string& text) const {
    std::FILE* const file = std::fopen((group_ + "/" + name).c_str(), "w");
    if (file == nullptr) return false;
    const bool written = std::fputs(text.c_str(), file) >= 0;
    return std::fclose(file) == 0 && written;
  }

  std::string group_;
};

}  // namespace hansa::test
