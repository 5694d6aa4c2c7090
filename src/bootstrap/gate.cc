#include "bootstrap/gate.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "control/local_socket.hpp"

namespace hansa::bootstrap {
namespace {

using control::Descriptor;
using control::EventLoop;

constexpr std::size_t kMostPending = 4096;
constexpr std::chrono::milliseconds kAcceptPause{50};
// Who knows the key has proven it by then; others go first when descriptors run out.
constexpr std::chrono::milliseconds kHonest{500};

std::size_t most_pending() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return std::clamp<std::size_t>(limit.rlim_cur / 4, 1, kMostPending);
}

// By what was asked for: what the system makes of it takes longer to find out.
struct GatesOfProcess {
  std::map<std::string, std::weak_ptr<Gate>> by_wish;
};

}  // namespace

Gate::Gate(EventLoop& loop, Descriptor listener, bool local)
    : loop_(loop), listener_(std::move(listener)), local_(local) {}

Result<std::shared_ptr<Gate>> Gate::at(EventLoop& loop, const std::string& interface,
                                       std::uint16_t port_first, std::uint16_t port_last, int family) {
  std::weak_ptr<Gate>& known =
      loop.local<GatesOfProcess>()
          .by_wish[fmt::format("{} {} {}-{}", interface, family, port_first, port_last)];
  if (auto gate = known.lock()) return gate;
  HANSA_ASSIGN_OR_RETURN(NetworkAddress address, choose_address(interface, family));
  HANSA_ASSIGN_OR_RETURN(Descriptor listener, listen_tcp(&address, port_first, port_last));
  std::shared_ptr<Gate> gate(new Gate(loop, std::move(listener), false));
  gate->address_ = address;
  HANSA_RETURN_IF_ERROR(gate->start());
  known = gate;
  return gate;
}

Result<std::shared_ptr<Gate>> Gate::over(EventLoop& loop, Descriptor listener) {
  std::shared_ptr<Gate> gate(new Gate(loop, std::move(listener), true));
  HANSA_RETURN_IF_ERROR(gate->start());
  return gate;
}

Gate::~Gate() {
  loop_.cancel(resume_);
  loop_.remove(watch_);
}

Status Gate::start() {
  auto watched = loop_.add(listener_.get(), EPOLLIN, [weak = weak_from_this()](std::uint32_t) {
    if (const auto self = weak.lock()) self->accept_all();
  });
  if (!watched.ok()) return watched.status();
  watch_ = watched.value();
  return Status();
}

void Gate::open_door(const Door& door, const Key& key, std::weak_ptr<DoorKeeper> keeper) {
  doors_[door] = {key, std::move(keeper)};
  const auto waiting = pending_;  // a copy: links that end leave the list
  for (const Pending& one : waiting)
    if (one.link->door() == door) one.link->retry();
}

void Gate::close_door(const Door& door) { doors_.erase(door); }

void Gate::accept_all() {
  // Not so many that those taken in before have no turn to speak until they must make room.
  for (std::size_t i = 0; i < (most_pending() + 1) / 2; ++i) {
    Descriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.open()) {
      admit(std::move(fd));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return exhausted(errno);
    }  // else: one that went away, or a signal
  }
}

void Gate::admit(Descriptor fd) {
  std::int32_t pid = 0;
  if (local_) {
    const control::PeerIdentity peer = control::identify_peer(fd.get());
    if (!peer.same_user) return;
    pid = peer.pid;
  } else {
    tune_tcp(fd.get());
  }
  if (pending_.size() >= most_pending()) pending_.pop_front();
  const auto find = [weak = weak_from_this()](const Door& door) -> std::optional<Key> {
    const auto self = weak.lock();
    if (!self) return std::nullopt;
    const auto found = self->doors_.find(door);
    if (found == self->doors_.end() || found->second.keeper.expired()) return std::nullopt;
    return found->second.key;
  };
  auto link = Link::accept(loop_, std::move(fd), find, weak_from_this());
  if (!link) return;
  link->watch_process(pid);
  pending_.push_back({std::move(link), EventLoop::Clock::now()});
}

// Nobody may wait at all: out of descriptors, accept says so before it looks at the queue.
void Gate::exhausted(int error) {
  pollfd queue{listener_.get(), POLLIN, 0};
  if (::poll(&queue, 1, 0) == 0) return;
  if (pending_.empty()) {
    const Status why = control::system_error("cannot accept the connections of other ranks", error);
    const auto doors = doors_;
    for (const auto& [door, open] : doors) {
      if (const auto keeper = open.keeper.lock()) keeper->on_exhausted(why);
    }
  } else if (EventLoop::Clock::now() - pending_.front().since > kHonest) {
    pending_.pop_front();
  }
  // The queue stays readable, so look again later instead of spinning.
  loop_.modify(watch_, 0);
  resume_ = loop_.after(kAcceptPause, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->loop_.modify(self->watch_, EPOLLIN);
  });
}

void Gate::on_open(Link& link) {
  const auto self = shared_from_this();
  const auto found =
      std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.link.get() == &link; });
  if (found == pending_.end()) return;
  const std::shared_ptr<Link> opened = std::move(found->link);
  pending_.erase(found);
  opened->set_owner({});
  const auto door = doors_.find(link.door());
  if (door == doors_.end()) return;
  if (const auto keeper = door->second.keeper.lock()) keeper->on_link(opened, local_);
}

void Gate::on_closed(Link& link, int) {
  pending_.remove_if([&](const Pending& p) { return p.link.get() == &link; });
}

}  // namespace hansa::bootstrap
