// Any bytes as a request for a descriptor: without the token none is ever given.
#include <sys/socket.h>

#include <cstdlib>

#include "control/fd_exchange.hpp"
#include "control/local_socket.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  using namespace hansa::control;
  static FdProvider* const provider = [] {
    auto made = FdProvider::create();
    if (!made.ok() || !made.value()->offer(0, 0).ok()) abort();
    return std::move(made).value().release();
  }();
  auto client = connect_local("hansa-fd-" + hexadecimal(BytesView(provider->address()).first(16)));
  if (!client.ok()) return 0;
  const int fd = client.value().get();
  (void)!::send(fd, data, size, MSG_NOSIGNAL);
  shutdown(fd, SHUT_WR);
  char answer;
  iovec part{&answer, 1};
  alignas(cmsghdr) char control[64];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  while (::recvmsg(fd, &message, 0) > 0) abort();  // it hangs up without a word
  return 0;
}
