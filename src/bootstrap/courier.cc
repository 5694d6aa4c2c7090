#include "bootstrap/courier.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::chrono::milliseconds kPatience{5000};

}  // namespace

void Courier::send(control::EventLoop& loop, const Neighbour& to, const Key& key, const Status& news) {
  auto fd = connect_tcp(to.gate);
  if (!fd.ok()) return;
  std::shared_ptr<Courier> courier(new Courier(news));
  courier->link_ = Link::dial(loop, std::move(fd).value(), true, key, door_of(key, "hub", to.host), courier);
  loop.after(kPatience, [courier] {});  // holds it until then
}

void Courier::on_open(Link& link) { link.send(Message::kFail, Failure{news_}.encode()); }

}  // namespace hansa::bootstrap
