// The public face: ids, joining, sessions.
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "base/log.hpp"
#include "bootstrap/last_word.hpp"
#include "bootstrap/meeting_point.hpp"
#include "bootstrap/root.hpp"
#include "bootstrap/seat.hpp"
#include "bootstrap/usher.hpp"

namespace hansa {
namespace {

using bootstrap::Gate;
using bootstrap::Hub;
using bootstrap::Seat;
using control::EventLoop;

class SeatedSession final : public Session {
 public:
  SeatedSession(EventLoop& loop, std::shared_ptr<Seat> seat, const Key& key, Rank rank,
                const SessionOptions& options)
      : loop_(loop),
        owner_(getpid()),
        seat_(std::move(seat)),
        key_(key),
        rank_(rank),
        interface_(options.interface),
        address_family_(options.address_family),
        members_(seat_->members()) {
    // Alone there is nobody to hear of, and nothing to keep open for it.
    if (ranks() == 1) seat_->leave();
  }
  ~SeatedSession() override { leave(); }

  Rank rank() const override { return rank_; }
  Rank ranks() const override { return static_cast<Rank>(members_.size()); }
  const std::vector<Member>& members() const override { return members_; }
  std::uint64_t number() const override {
    const Key derived = derive(key_, "number", {});
    std::uint64_t number;
    std::memcpy(&number, derived.data(), sizeof number);
    return number;
  }

  Result<std::vector<std::vector<std::byte>>> allgather(BytesView mine) override {
    HANSA_RETURN_IF_ERROR(usable());
    if (mine.size() > bootstrap::kMostContribution) {
      return Status(Code::kInvalidArgument,
                    fmt::format("{} bytes are too many for one rank's part of an exchange, at most {}",
                                mine.size(), bootstrap::kMostContribution));
    }
    if (ranks() == 1) return std::vector<std::vector<std::byte>>{{mine.begin(), mine.end()}};
    return seat_->exchange(mine);
  }
  void watch(Watcher watcher) override {
    const Status usable_now = usable();
    if (usable_now.ok())
      seat_->watch(std::move(watcher));
    else
      watcher.failed(usable_now);
  }
  void raise(const Status& reason) override {
    if (usable().ok() && !reason.ok()) seat_->raise(reason);
  }
  void ask(const Concern& concern, std::uint32_t still_ms) override {
    if (usable().ok()) seat_->ask(concern, still_ms);
  }
  void leave() override {
    if (left_ || !loop_.ours()) return;
    left_ = true;
    seat_->leave();
  }
  RootTraffic root_traffic() const override {
    RootTraffic traffic;
    if (loop_.ours()) loop_.run([&] { traffic = Hub::root_traffic(loop_, key_); });
    return traffic;
  }

  Status dead_among(const std::vector<Rank>& ranks) const override {
    HANSA_RETURN_IF_ERROR(usable());
    return seat_->dead_among(ranks);
  }
  Status failure() const override {
    HANSA_RETURN_IF_ERROR(usable());
    return seat_->failure();
  }

  Result<UniqueId> reunion(Rank host, BytesView occasion) override {
    HANSA_RETURN_IF_ERROR(usable());
    bootstrap::Invitation invitation;
    invitation.root = seat_->gate_of(host);
    const Key name = derive(key_, "reunion", {occasion});
    std::memcpy(invitation.communicator.data(), name.data(), invitation.communicator.size());
    invitation.secret = derive(key_, "reunion's secret", {occasion});
    if (host == rank_) seat_->host_reunion(invitation);
    return bootstrap::to_unique_id(invitation);
  }

  Result<std::string> address() const override {
    HANSA_ASSIGN_OR_RETURN(const auto chosen, bootstrap::choose_address(interface_, address_family_));
    return chosen.host_text();
  }
  Result<std::vector<Interface>> rails() const override {
    return bootstrap::choose_rails(interface_, address_family_);
  }

 private:
  Status usable() const {
    if (!loop_.ours()) {
      return Status(
          Code::kInvalidUsage,
          fmt::format(
              "this communicator belongs to process {}; a process forked from it (this is {}) cannot use it, "
              "create one of its own after the fork",
              owner_, getpid()));
    }
    if (left_) return Status(Code::kInvalidUsage, "this rank has left the communicator");
    return Status();
  }

  EventLoop& loop_;
  const pid_t owner_;
  const std::shared_ptr<Seat> seat_;
  const Key key_;
  const Rank rank_;
  const std::string interface_;
  const int address_family_;
  const std::vector<Member> members_;
  bool left_ = false;
};

Result<std::shared_ptr<Gate>> gate_for(EventLoop& loop, const SessionOptions& options) {
  Result<std::shared_ptr<Gate>> gate = Status(Code::kInternal, "not tried");
  loop.run([&] {
    gate = Gate::at(loop, options.interface, options.port_first, options.port_last, options.address_family);
  });
  return gate;
}

// `unheard_of`: see Seat.
Result<std::unique_ptr<Session>> take_seat(const bootstrap::Invitation& invitation, Rank rank, Rank ranks,
                                           const SessionOptions& options, bool* unheard_of) try {
  HANSA_ASSIGN_OR_RETURN(EventLoop * loop, EventLoop::of_this_process());
  Hub::Setup setup;
  setup.invitation = invitation;
  setup.key = invitation.key();
  setup.host = bootstrap::identify_host(options.host_id);
  setup.leader = bootstrap::this_process(*loop, setup.host);
  setup.leader.rank = rank;
  setup.ranks = ranks;
  setup.root_may_be_late = options.root_may_be_late;
  const Key key = setup.key;
  auto seat = Seat::take(*loop, std::move(setup), options);
  const Status joined = seat->wait_until_joined();
  *unheard_of = seat->unheard_of();
  if (joined.ok())
    return std::unique_ptr<Session>(new SeatedSession(*loop, std::move(seat), key, rank, options));
  seat->leave();
  return joined;
} catch (const std::bad_alloc&) {
  return Status(Code::kSystem, "out of memory: RLIMIT_AS or the memory cgroup may be too low");
}

void serve_root(EventLoop& loop, std::shared_ptr<Gate> gate, const bootstrap::Invitation& invitation,
                const SessionOptions& options) {
  const auto self = bootstrap::this_process(loop, bootstrap::identify_host(options.host_id));
  // The gate is dropped on the control thread, like everything that holds descriptors in its epoll.
  loop.run([&] { bootstrap::Root::serve(loop, std::move(gate), invitation, self); });
}

// The invitation of this round at a meeting point, and, for rank 0, who tells the others of it. What was
// waited comes off the options' time-out.
Result<bootstrap::Invitation> meet(EventLoop& loop, const bootstrap::Invitation& meeting, Rank rank,
                                   Rank ranks, SessionOptions& options,
                                   std::shared_ptr<bootstrap::Usher>& usher) {
  bootstrap::Entry entry;
  entry.ranks = ranks;
  entry.process = bootstrap::this_process(loop, bootstrap::identify_host(options.host_id));
  entry.process.rank = rank;
  if (rank > 0) {
    const auto begin = EventLoop::Clock::now();
    auto told = ask_usher(loop, meeting, entry, options.timeout, options.cancelled);
    const auto waited = std::chrono::floor<std::chrono::milliseconds>(EventLoop::Clock::now() - begin);
    options.timeout = std::max(options.timeout - waited, std::chrono::milliseconds(1));
    return told;
  }
  HANSA_ASSIGN_OR_RETURN(auto gate, gate_for(loop, options));
  auto invitation = invite_from_meeting(meeting, gate->address());
  if (ranks > 1) {
    auto opened = bootstrap::Usher::open(loop, meeting, invitation, ranks, entry.process);
    if (!opened.ok()) {
      loop.run([&] { gate.reset(); });
      return opened.status();
    }
    usher = std::move(opened).value();
  }
  serve_root(loop, std::move(gate), invitation, options);
  return invitation;
}

Result<UniqueId> meeting_id(const SessionOptions& options) {
  HANSA_ASSIGN_OR_RETURN(const auto place, bootstrap::parse_place(options.meeting_point));
  HANSA_ASSIGN_OR_RETURN(const auto secret, bootstrap::read_secret(options.secret));
  HANSA_ASSIGN_OR_RETURN(const auto address, bootstrap::resolve(place, options.address_family));
  HANSA_INFO_ON(kBootstrap, "ranks meet at {}, as NCCL_COMM_ID says{}", address.text(),
                secret.empty() ? "; without HANSA_SECRET whoever reaches that address can join" : "");
  return to_unique_id(bootstrap::invite_to_meeting(address, secret));
}

}  // namespace

Result<UniqueId> create_unique_id(const SessionOptions& options) {
  HANSA_RETURN_IF_ERROR(prepare_cryptography());
  if (!options.meeting_point.empty()) return meeting_id(options);
  HANSA_ASSIGN_OR_RETURN(EventLoop * loop, EventLoop::of_this_process());
  HANSA_ASSIGN_OR_RETURN(auto gate, gate_for(*loop, options));
  const auto invitation = bootstrap::invite(gate->address());
  serve_root(*loop, std::move(gate), invitation, options);
  return bootstrap::to_unique_id(invitation);
}

void discard_unique_id(const UniqueId& id) {
  const auto invitation = bootstrap::parse_unique_id(id);
  if (!invitation.ok() || invitation.value().meeting) return;
  auto loop = EventLoop::of_this_process();
  if (!loop.ok()) return;
  loop.value()->post(
      [loop = loop.value(), key = invitation.value().key()] { bootstrap::Root::discard(*loop, key); });
}

Result<std::unique_ptr<Session>> join(const UniqueId& id, Rank rank, Rank ranks,
                                      const SessionOptions& options) {
  if (ranks < 1 || ranks > bootstrap::kMostRanks) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} ranks are not between 1 and {}", ranks, bootstrap::kMostRanks));
  }
  if (rank < 0 || rank >= ranks) {
    return Status(Code::kInvalidArgument, fmt::format("rank {} is not between 0 and {}", rank, ranks - 1));
  }
  HANSA_RETURN_IF_ERROR(prepare_cryptography());
  HANSA_ASSIGN_OR_RETURN(auto invitation, bootstrap::parse_unique_id(id));
  const auto could_not = [&](const Status& why) {
    return why.within(fmt::format("rank {} of {} could not join", rank, ranks));
  };
  SessionOptions mine = options;
  std::shared_ptr<bootstrap::Usher> usher;
  if (invitation.meeting) {
    HANSA_ASSIGN_OR_RETURN(EventLoop * loop, EventLoop::of_this_process());
    auto found = meet(*loop, invitation, rank, ranks, mine, usher);
    if (!found.ok()) return could_not(found.status());
    invitation = std::move(found).value();
  }
  bool unheard_of = true;
  auto session = take_seat(invitation, rank, ranks, mine, &unheard_of);
  if (usher) usher->close();
  if (session.ok()) return session;
  const Status why = could_not(session.status());
  if (unheard_of && why.code() != Code::kAborted)
    bootstrap::tell_root(invitation, rank, Status(Code::kRemote, std::string(why.message())));
  return why;
}

}  // namespace hansa
