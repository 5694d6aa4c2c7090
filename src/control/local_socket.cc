#include "control/local_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace hansa::control {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

struct LocalAddress {
  sockaddr_un address{};
  socklen_t bytes = 0;

  explicit LocalAddress(const std::string& name) {
    address.sun_family = AF_UNIX;
    // A leading zero byte makes the name abstract.
    const std::size_t used = std::min(name.size(), sizeof address.sun_path - 1);
    std::memcpy(address.sun_path + 1, name.data(), used);
    bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + used);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Result<Descriptor> local_socket() {
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.open()) return system_error("cannot create a local socket", errno);
  return fd;
}

}  // namespace

std::string hexadecimal(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15u];
  }
  return text;
}

Result<Descriptor> listen_local(const std::string& name, bool* taken) {
  HANSA_ASSIGN_OR_RETURN(Descriptor fd, local_socket());
  const LocalAddress address(name);
  if (::bind(fd.get(), address.get(), address.bytes) != 0) {
    if (taken) *taken = errno == EADDRINUSE;
    return system_error("cannot bind a local socket", errno);
  }
  if (::listen(fd.get(), kBacklog) != 0) return system_error("cannot listen on a local socket", errno);
  return fd;
}

Result<Descriptor> connect_local(const std::string& name, bool* absent, bool* busy) {
  HANSA_ASSIGN_OR_RETURN(Descriptor fd, local_socket());
  const LocalAddress address(name);
  int rc;
  do {
    rc = ::connect(fd.get(), address.get(), address.bytes);
  } while (rc != 0 && errno == EINTR);
  if (rc != 0) {
    if (absent) *absent = errno == ECONNREFUSED || errno == ENOENT;
    if (busy) *busy = errno == EAGAIN;
    return system_error("cannot connect to a process of this host", errno);
  }
  return fd;
}

PeerIdentity identify_peer(int fd) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) return {};
  return {credentials.pid, credentials.uid == geteuid()};
}

}  // namespace hansa::control
