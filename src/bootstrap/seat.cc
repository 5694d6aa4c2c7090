#include "bootstrap/seat.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/fault_point.hpp"
#include "bootstrap/courier.hpp"
#include "bootstrap/of_process.hpp"
#include "bootstrap/root.hpp"
#include "control/local_socket.hpp"

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{20};  // for what nobody wakes a waiting rank for
// After its own time is over a rank waits this much for the text that all ranks get.
constexpr milliseconds kGrace{2000};
constexpr milliseconds kFarewell{1000};
// A hub may end just when a rank of its host comes; then the next to try founds a new one.
constexpr int kMostConnects = 100;
constexpr milliseconds kReconnect{5};

}  // namespace

Seat::Seat(control::EventLoop& loop, Hub::Setup setup, const SessionOptions& options)
    : loop_(loop), setup_(std::move(setup)), options_(options) {}

std::shared_ptr<Seat> Seat::take(control::EventLoop& loop, Hub::Setup setup, const SessionOptions& options) {
  std::shared_ptr<Seat> seat(new Seat(loop, std::move(setup), options));
  loop.run([&] {
    loop.local<OfProcess<Seat>>().all.insert(seat);
    seat->come();
  });
  return seat;
}

void Seat::come() {
  auto gate =
      Gate::at(loop_, options_.interface, options_.port_first, options_.port_last, options_.address_family);
  if (!gate.ok()) return fail(gate.status());
  setup_.tree_gate = std::move(gate).value();
  connect();
}

void Seat::connect() {
  if (left_) return;
  bool absent = false, busy = false;
  auto fd = control::connect_local(local_name_of(setup_.key, setup_.host), &absent, &busy);
  if (absent) return found_hub();
  if (busy) return connect_later();
  if (!fd.ok()) return fail(fd.status());
  const control::PeerIdentity peer = control::identify_peer(fd.value().get());
  if (!peer.same_user) {
    return fail(Status(
        Code::kInvalidUsage,
        fmt::format("another rank on host {} runs as another user; run all ranks as one", setup_.host.name)));
  }
  link_ = Link::dial(loop_, std::move(fd).value(), false, setup_.key,
                     door_of(setup_.key, "local", setup_.host.id), weak_from_this());
  if (!link_) return fail(control::system_error("cannot watch a socket", ENOMEM));
  link_->set_most_payload(most_table(setup_.ranks));
  link_->watch_process(peer.pid);
}

void Seat::connect_later() {
  // At first it was but another rank that founded the hub meanwhile.
  if (++failed_connects_ == 1) return connect();
  if (failed_connects_ > kMostConnects) {
    return fail(
        Status(Code::kSystem,
               fmt::format("the leader of the ranks on host {} does not accept this one; is it stopped?",
                           setup_.host.name)));
  }
  loop_.after(kReconnect, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->connect();
  });
}

void Seat::found_hub() {
  bool taken = false;
  auto listener = control::listen_local(local_name_of(setup_.key, setup_.host), &taken);
  if (taken) return connect_later();  // another rank was faster
  if (!listener.ok()) return fail(listener.status());
  const Status started = Hub::start(loop_, setup_, std::move(listener).value());
  if (!started.ok()) return fail(started);
  connect();
}

bool Seat::unheard_of() {
  std::lock_guard lock(mutex_);
  return !entered_ && !went_alone_;
}

void Seat::on_open(Link& link) {
  (void)fault_point(Point::kSeatOpen);
  {
    std::lock_guard lock(mutex_);
    entered_ = true;
  }
  Entry entry;
  entry.ranks = setup_.ranks;
  entry.process = self_;
  link.send(Message::kEnter, entry.encode());
  const auto rails = choose_rails(options_.interface, options_.address_family);
  const std::size_t count = rails.ok() ? std::max<std::size_t>(rails.value().size(), 1) : 1;
  const Introduction self{
      {setup_.host.id, setup_.host.name, self_.pid, self_.id, static_cast<std::uint8_t>(count)},
      setup_.tree_gate->address()};
  link.send(Message::kGather, encode_contributions(0, {{self_.rank, self.encode()}}));
  if (late_ms_ > 0) link.send(Message::kLate, Lateness{0, late_ms_}.encode());
}

void Seat::on_message(Link&, Message type, BytesView payload) {
  Welcome welcome;
  Absence absence;
  Obituary obituary;
  Failure failure;
  RollCall call;
  Verdict verdict;
  if (type == Message::kTable) {
    take_table(payload);
  } else if (type == Message::kNeighbours && Neighbours::parse(payload, &neighbours_)) {
    return;
  } else if (type == Message::kFail && Failure::parse(payload, &failure)) {
    fail(failure.status);
  } else if (type == Message::kLeft && Absence::parse(payload, &absence)) {
    note_left(absence.ranks);
  } else if (type == Message::kRollCall && RollCall::parse(payload, &call)) {
    answer(call);
  } else if (type == Message::kVerdict && parse_verdict(payload, setup_.ranks, &verdict)) {
    take_verdict(verdict);
  } else if (type == Message::kDead && Obituary::parse(payload, &obituary)) {
    note_dead(obituary.ranks, obituary.death);
  } else if (type == Message::kLeave) {
    done();
  } else if (type == Message::kWelcome && Welcome::parse(payload, &welcome)) {
    hub_ = welcome.process;
    std::lock_guard lock(mutex_);
    hub_is_here_ = hub_.id == self_.id;
  } else {
    fail(Status(Code::kInternal, fmt::format("{} sent a message of kind {} that cannot be read here",
                                             hub_.text(), static_cast<int>(type))));
  }
}

void Seat::on_starved(Link& link) {
  if (left_) return;
  link.send(Message::kFail, Failure{Status(Code::kRemote, kStarved)}.encode());
  fail(Status(Code::kSystem, kStarved));
}

void Seat::take_table(BytesView payload) {
  std::uint64_t sequence = 0;
  std::vector<Contribution> list;
  bool good = parse_contributions(payload, setup_.ranks, &sequence, &list) &&
              list.size() == static_cast<std::size_t>(setup_.ranks);
  {
    std::lock_guard lock(mutex_);
    good = good && sequence == received_;
    Table table(list.size());
    std::vector<Introduction> everybody(sequence == 0 ? list.size() : 0);
    for (const Contribution& one : list) {
      const auto rank = static_cast<std::size_t>(one.rank);
      table[rank].assign(one.bytes.begin(), one.bytes.end());
      if (good && sequence == 0) good = Introduction::parse(one.bytes, &everybody[rank]);
    }
    if (good) {
      if (sequence == 0) {
        for (Introduction& one : everybody) {
          members_.push_back(std::move(one.member));
          gates_.push_back(one.gate);
        }
        has_left_.assign(members_.size(), false);
      }
      table_ = std::move(table);
      ++received_;
      changed_.notify_all();
      return;
    }
  }
  fail(Status(Code::kInternal, fmt::format("{} sent a table that cannot be read here", hub_.text())));
}

void Seat::on_closed(Link& link, int error) {
  const auto self = shared_from_this();
  const bool opened = link.was_open();
  link_.reset();
  if (left_) return done();
  if (error == EBADF || error == ENOTSOCK)
    return fail(
        Status(Code::kSystem,
               "this process's descriptors were closed under the library: does the program close what it did "
               "not open?"));
  if (error == ENOMEM) return fail(Status(Code::kSystem, kStarved));
  // A hub that ends just when this rank comes has not said a word to it.
  if (!opened || hub_.rank < 0) return connect_later();
  std::vector<Rank> lost{hub_.rank};
  {
    std::lock_guard lock(mutex_);
    if (!members_.empty()) lost = ranks_in(members_, has_left_, hub_.id, setup_.host.id);
  }
  if (lost.empty()) return;
  const Status death = death_of(hub_, lost, {error, link.rail(), setup_.host.name});
  note_dead(lost, death);
  fail(death);
  for (const Neighbour& neighbour : neighbours_.list) Courier::send(loop_, neighbour, setup_.key, death);
}

void Seat::fail(const Status& why) {
  {
    std::lock_guard lock(mutex_);
    if (!failed_.ok()) return;
    failed_ = why;
    changed_.notify_all();
  }
  if (watcher_.failed) watcher_.failed(why);
}

void Seat::done() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  // What holds descriptors goes here and now: the last reference to this may be dropped by any thread.
  link_.reset();
  setup_.tree_gate.reset();
  loop_.post([self = shared_from_this()] { self->loop_.local<OfProcess<Seat>>().all.erase(self); });
}

template <class Ready>
Seat::Outcome Seat::wait(milliseconds timeout, Ready ready) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (ready()) return Outcome::kDone;
    const bool joins = received_ == 0;
    if (joins && options_.bereaved && !options_.bereaved().ok()) return Outcome::kBereaved;
    if (options_.cancelled && options_.cancelled->load(std::memory_order_acquire)) return Outcome::kCancelled;
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) return Outcome::kLate;
    changed_.wait_until(lock, options_.cancelled || options_.bereaved ? std::min(until, now + kLook) : until);
  }
}

// Until `ready` (under the lock), or until the reason why it will not be is known.
template <class Ready>
Status Seat::wait_for_all(std::uint64_t sequence, Ready ready) {
  Outcome outcome = wait(options_.timeout, ready);
  if (outcome == Outcome::kLate) {
    const auto waited =
        static_cast<std::uint32_t>(std::min<std::int64_t>(options_.timeout.count(), UINT32_MAX));
    loop_.post([self = shared_from_this(), sequence, waited] {
      if (sequence == 0) self->late_ms_ = waited;
      if (self->link_) self->link_->send(Message::kLate, Lateness{sequence, waited}.encode());
    });
    outcome = wait(kGrace, ready);
  }
  if (outcome == Outcome::kCancelled) {
    give_up(Status(Code::kAborted, "given up: this rank's communicator was aborted meanwhile"),
            Status(Code::kRemote, "its communicator was aborted meanwhile"));
  } else if (outcome == Outcome::kBereaved) {
    give_up(options_.bereaved(), options_.bereaved());
  } else if (outcome == Outcome::kLate) {
    const std::string text = fmt::format(
        "no word of the other ranks within {:g} s, nor of why; the leader of host {} ({}) or "
        "the process that made the unique id is stopped or out of reach",
        static_cast<double>(options_.timeout.count()) / 1000.0, setup_.host.name, hub_.text());
    // In a reunion others may have come but now: they go on.
    const bool alone = sequence == 0 && setup_.root_may_be_late;
    give_up(Status(Code::kRemote, text), alone ? Status() : Status(Code::kRemote, text));
    std::lock_guard lock(mutex_);
    went_alone_ = alone;
    return failed_;
  }
  std::lock_guard lock(mutex_);
  return failed_;
}

void Seat::give_up(const Status& mine, const Status& others) {
  loop_.run([&] {
    if (link_ && !others.ok()) link_->send(Message::kFail, Failure{others}.encode());
    if (!joined()) watcher_ = {};  // the caller hears it from the call
    fail(mine);
  });
}

bool Seat::joined() {
  std::lock_guard lock(mutex_);
  return received_ > 0;
}

Status Seat::wait_until_joined() {
  Status status = wait_for_all(0, [this] { return !failed_.ok() || received_ > 0; });
  // That a door is shut tells less than who died behind it, which is heard a moment later.
  if (status.code() == Code::kRemote && options_.bereaved)
    (void)wait(kGrace / 4, [&] { return !options_.bereaved().ok(); });
  return status.code() == Code::kRemote && options_.bereaved && !options_.bereaved().ok()
             ? options_.bereaved()
             : status;
}

Result<Seat::Table> Seat::exchange(BytesView mine) {
  std::uint64_t sequence;
  {
    std::lock_guard lock(mutex_);
    if (!failed_.ok()) return failed_;
    sequence = next_++;
  }
  loop_.run([&] {
    if (link_) link_->send(Message::kGather, encode_contributions(sequence, {{self_.rank, mine}}));
  });
  const Status waited = wait_for_all(
      sequence, [this, sequence] { return !failed_.ok() || received_ > sequence || !gone_.empty(); });
  std::lock_guard lock(mutex_);
  if (received_ > sequence)
    return std::move(table_);  // what came before a failure counts: others have it, too
  HANSA_RETURN_IF_ERROR(waited);
  return Status(Code::kRemote,
                fmt::format("{} left the communicator while others still exchange", ranks_text(gone_)));
}

void Seat::watch(Session::Watcher watcher) {
  loop_.run([&] {
    Status already;
    std::vector<Rank> gone;
    {
      std::lock_guard lock(mutex_);
      already = failed_;
      gone = gone_;
    }
    if (left_) return;
    for (const Rank rank : gone)
      if (watcher.left) watcher.left(rank);
    if (already.ok())
      watcher_ = std::move(watcher);
    else
      watcher.failed(already);
  });
}

void Seat::raise(const Status& reason) {
  loop_.post([self = shared_from_this(), reason] {
    if (self->link_ && !self->left_) self->link_->send(Message::kFail, Failure{reason}.encode());
    self->watcher_ = {};
    self->fail(reason);
  });
}

void Seat::leave() {
  bool here = false;
  loop_.run([&] {
    if (left_) return;
    left_ = true;
    watcher_ = {};
    (void)fault_point(Point::kDestroyLeave);
    if (link_ && link_->is_open())
      link_->send(Message::kLeave, {});
    else
      done();
    std::lock_guard lock(mutex_);
    here = hub_is_here_;
  });
  // This process may end right after: then nobody could pass the word on.
  if (!here || loop_.on_control_thread()) return;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kFarewell, [this] { return done_; });
}

std::vector<Member> Seat::members() {
  std::lock_guard lock(mutex_);
  return members_;
}

Status Seat::failure() {
  std::lock_guard lock(mutex_);
  return failed_;
}

NetworkAddress Seat::gate_of(Rank rank) {
  std::lock_guard lock(mutex_);
  return gates_[static_cast<std::size_t>(rank)];
}

void Seat::host_reunion(const Invitation& invitation) {
  loop_.run([&] {
    if (setup_.tree_gate) Root::serve(loop_, setup_.tree_gate, invitation, self_, true);
  });
}

}  // namespace hansa::bootstrap
