#include "bootstrap/launchers/stream.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 4096;

}  // namespace

Deadline deadline_in(milliseconds patience) { return steady_clock::now() + patience; }

Status Stream::wait_for(short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    pollfd entry{fd_.get(), events, 0};
    const int most = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
    const int ready = ::poll(&entry, 1, most);
    if (ready > 0) return Status();
    if (ready < 0 && errno != EINTR) return control::system_error("cannot wait for a socket", errno);
    if (steady_clock::now() >= deadline) return Status(Code::kRemote, "no answer in time");
  }
}

Status Stream::write(BytesView bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      HANSA_RETURN_IF_ERROR(wait_for(POLLOUT, deadline));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return Status(Code::kRemote, "the other end has closed the connection");
    } else if (errno != EINTR) {
      return control::system_error("cannot send", errno);
    }
  }
  return Status();
}

Status Stream::fill(Deadline deadline) {
  std::byte buffer[kReadBytes];
  for (;;) {
    const auto got = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0) {
      inbox_.insert(inbox_.end(), buffer, buffer + got);
      return Status();
    }
    if (got == 0 || errno == ECONNRESET)
      return Status(Code::kRemote, "the other end has closed the connection");
    if (errno == EAGAIN)
      HANSA_RETURN_IF_ERROR(wait_for(POLLIN, deadline));
    else if (errno != EINTR)
      return control::system_error("cannot receive", errno);
  }
}

Status Stream::read(Bytes into, Deadline deadline) {
  while (inbox_.size() < into.size()) HANSA_RETURN_IF_ERROR(fill(deadline));
  std::copy_n(inbox_.begin(), into.size(), into.begin());
  inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(into.size()));
  return Status();
}

Result<std::string> Stream::read_line(std::size_t most, Deadline deadline) {
  for (;;) {
    const auto end = std::find(inbox_.begin(), inbox_.end(), std::byte{'\n'});
    const auto length = static_cast<std::size_t>(end - inbox_.begin());
    if (length > most) return Status(Code::kRemote, "an answer is longer than any may be");
    if (end != inbox_.end()) {
      std::string line(reinterpret_cast<const char*>(inbox_.data()), length);
      inbox_.erase(inbox_.begin(), end + 1);
      return line;
    }
    HANSA_RETURN_IF_ERROR(fill(deadline));
  }
}

}  // namespace hansa::bootstrap
