#include "bootstrap/courier.hpp"

#include <condition_variable>
#include <mutex>

namespace hansa::bootstrap {
namespace {

constexpr std::chrono::milliseconds kPatience{5000}, kLastWord{1000};

}  // namespace

void Courier::dial(control::EventLoop& loop, const NetworkAddress& to, const Key& key, const Door& door,
                   const std::shared_ptr<Courier>& courier) {
  auto fd = connect_tcp(to);
  if (fd.ok()) courier->link_ = Link::dial(loop, std::move(fd).value(), true, key, door, courier);
  if (!courier->link_) return courier->finished_();
  loop.after(kPatience, [courier] {});  // holds it until then
}

void Courier::send(control::EventLoop& loop, const Neighbour& to, const Key& key, const Status& news) {
  dial(loop, to.gate, key, door_of(key, "hub", to.host), std::shared_ptr<Courier>(new Courier(news, [] {})));
}

void Courier::tell_root(control::EventLoop& loop, const Invitation& invitation, const Status& news) {
  struct Told {
    std::mutex mutex;
    std::condition_variable changed;
    bool yes = false;
  };
  const auto told = std::make_shared<Told>();
  const auto finished = [told] {
    const std::lock_guard lock(told->mutex);
    told->yes = true;
    told->changed.notify_one();
  };
  const Key key = invitation.key();
  loop.run([&] {
    dial(loop, invitation.root, key, door_of(key, "root", ""),
         std::shared_ptr<Courier>(new Courier(news, finished)));
  });
  std::unique_lock lock(told->mutex);
  told->changed.wait_for(lock, kLastWord, [&] { return told->yes; });
}

void Courier::on_open(Link& link) {
  link.send(Message::kFail, Failure{news_}.encode());
  finished_();
}

}  // namespace hansa::bootstrap
