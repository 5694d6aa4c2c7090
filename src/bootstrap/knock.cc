#include "bootstrap/knock.hpp"

#include <sys/epoll.h>

#include "bootstrap/link_end.hpp"

namespace hansa::bootstrap {
void Knock::at(control::EventLoop& loop, const NetworkAddress& gate,
               std::function<void(const Rail&)> silent) {
  auto fd = connect_tcp(gate);
  if (!fd.ok()) return;
  const std::shared_ptr<Knock> knock(new Knock(loop, std::move(fd).value(), std::move(silent)));
  auto watched = loop.add(knock->fd_.get(), EPOLLOUT, [weak = std::weak_ptr<Knock>(knock)](std::uint32_t) {
    const auto self = weak.lock();
    if (!self) return;
    int error = 0;
    socklen_t bytes = sizeof error;
    getsockopt(self->fd_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
    self->end(!LinkEnd{error}.is_silence());
  });
  if (!watched.ok()) return;
  knock->watch_ = watched.value();
  loop.after(kPatience, [knock] { knock->end(false); });
}

void Knock::end(bool answered) {
  if (!fd_.open()) return;
  loop_.remove(watch_);
  const Rail rail = rail_of(fd_.get());
  fd_ = control::Descriptor();
  if (!answered) silent_(rail);
}

}  // namespace hansa::bootstrap
