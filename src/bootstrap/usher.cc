#include "bootstrap/usher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace hansa::bootstrap {
namespace {

struct UshersOfProcess {
  std::map<std::string, std::shared_ptr<Usher>> by_place;
};

}  // namespace

Result<std::shared_ptr<Usher>> Usher::open(control::EventLoop& loop, const Invitation& meeting,
                                           const Invitation& actual, Rank ranks, const Process& self) {
  std::shared_ptr<Usher> usher(new Usher(loop, actual, ranks, self));
  Status listening;
  loop.run([&] { listening = usher->listen(meeting); });
  HANSA_RETURN_IF_ERROR(listening);
  return usher;
}

Status Usher::listen(const Invitation& meeting) {
  const NetworkAddress& place = meeting.root;
  const std::string text = place.text();
  auto& ushers = loop_.local<UshersOfProcess>().by_place;
  if (ushers.contains(text))
    return Status(
        Code::kInvalidUsage,
        fmt::format("another communicator is being made at NCCL_COMM_ID ({}) by this process; make one "
                    "after the other, or unset NCCL_COMM_ID and use unique ids",
                    text));
  auto gate = Gate::at(loop_, place.host_text(), place.port, place.port);
  if (!gate.ok())
    return Status(
        Code::kSystem,
        fmt::format("rank 0 cannot listen at NCCL_COMM_ID ({}): rank 0 must run on the host with that "
                    "address, and no other program may use the port ({})",
                    text, gate.status().message()));
  place_ = text;
  gate_ = std::move(gate).value();
  const Key key = meeting.key();
  door_ = door_of(key, "usher", "");
  gate_->open_door(door_, key, weak_from_this());
  ushers.emplace(place_, shared_from_this());
  return Status();
}

void Usher::leave_door() {
  if (!gate_) return;
  gate_->close_door(door_);
  gate_.reset();
  loop_.local<UshersOfProcess>().by_place.erase(place_);
}

void Usher::close() {
  loop_.run([&] {
    leave_door();
    links_.clear();
  });
}

void Usher::on_link(std::shared_ptr<Link> link, bool) {
  link->set_owner(weak_from_this());
  links_.push_back(std::move(link));
}

void Usher::on_message(Link& link, Message type, BytesView payload) {
  const auto self = shared_from_this();
  Entry entry;
  if (type != Message::kEnter || !Entry::parse(payload, &entry)) {
    link.close();
    return on_closed(link, 0);
  }
  if (const Status good = judge(entry, self_, ranks_); !good.ok())
    return link.send(Message::kFail, Failure{good}.encode());
  link.send(Message::kAdmit, Admission{actual_.root, actual_.communicator}.encode());
  told_.insert(entry.process.rank);
  if (static_cast<Rank>(told_.size()) == ranks_ - 1) leave_door();
}

void Usher::on_closed(Link& link, int) {
  std::erase_if(links_, [&](const std::shared_ptr<Link>& one) { return one.get() == &link; });
}

}  // namespace hansa::bootstrap
