// A hostile other end of a connection, as its dialer and as its acceptor: whatever it sends, in whatever
// pieces, it is never let in, and the connection ends.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "bootstrap/link.hpp"

namespace {

using namespace hansa;
using namespace hansa::bootstrap;

struct Owner : LinkOwner {
  void on_open(Link&) override { abort(); }
  void on_message(Link&, Message, BytesView) override { abort(); }
  void on_closed(Link&, int) override {
    const std::lock_guard lock(mutex);
    closed = true;
    changed.notify_one();
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
};

// Two ends of one connection that block on neither side.
void connect_pair(control::Descriptor (&ends)[2]) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) abort();
  for (int i = 0; i < 2; ++i) ends[i] = control::Descriptor(fds[i]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || !prepare_cryptography().ok()) return 0;
  control::EventLoop& loop = *control::EventLoop::of_this_process().value();
  control::Descriptor ends[2];
  connect_pair(ends);
  const auto owner = std::make_shared<Owner>();
  Key key{};
  key[0] = std::byte{1};
  const bool dials = data[0] % 2 == 0;
  std::shared_ptr<Link> link;
  loop.run([&] {
    link = dials
               ? Link::dial(loop, std::move(ends[0]), false, key, Door{}, owner)
               : Link::accept(
                     loop, std::move(ends[0]), [key](const Door&) { return std::optional<Key>(key); }, owner);
  });
  // In pieces, so that messages are cut anywhere.
  const std::size_t piece = 1 + data[1];
  for (std::size_t at = 2; at < size; at += piece) {
    const std::size_t now = std::min(piece, size - at);
    if (::send(ends[1].get(), data + at, now, MSG_NOSIGNAL) != static_cast<ssize_t>(now)) break;
  }
  shutdown(ends[1].get(), SHUT_WR);
  {
    std::unique_lock lock(owner->mutex);
    owner->changed.wait(lock, [&] { return owner->closed; });
  }
  loop.run([&] { link.reset(); });
  return 0;
}
