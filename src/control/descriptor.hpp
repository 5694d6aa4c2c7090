// A file descriptor with one owner, and what to say when the system refuses one.
#pragma once

#include <unistd.h>

#include <string_view>
#include <utility>

#include "hansa/status.hpp"

namespace hansa::control {

class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool open() const noexcept { return fd_ >= 0; }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// kSystem: "what: reason of errno `error`"; where a limit was met, names it, its value and the remedy.
Status system_error(std::string_view what, int error);

}  // namespace hansa::control
