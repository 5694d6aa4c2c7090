// What processes of a test say on stderr.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace hansa::test {

// A file that everything said on stderr goes to while this lives, also by processes started meanwhile.
class Heard {
 public:
  Heard() : saved_(dup(STDERR_FILENO)), file_(memfd_create("heard", 0)) { dup2(file_, STDERR_FILENO); }
  ~Heard() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    close(file_);
  }
  std::string text() const {
    std::string text(static_cast<std::size_t>(lseek(file_, 0, SEEK_END)), '\0');
    if (pread(file_, text.data(), text.size(), 0) < 0) return {};
    return text;
  }
  // Bounded.
  bool await(const std::string& part) const {
    for (int i = 0; i < 20'000; ++i, usleep(1000))
      if (text().find(part) != std::string::npos) return true;
    return false;
  }

 private:
  int saved_, file_;
};

inline void expect_heard(const Heard& heard, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    const bool found = heard.await(part);
    EXPECT_TRUE(found) << "wanted: " << part << "\nheard: " << heard.text();
  }
}

}  // namespace hansa::test
