// A rank's side of a meeting point.
#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <system_error>

#include "bootstrap/usher.hpp"

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kCancelPoll{20}, kFirstPause{20}, kLongestPause{500};

// Dials again and again, on the control thread, until someone answers.
class Asker : public LinkOwner, public std::enable_shared_from_this<Asker> {
 public:
  Asker(control::EventLoop& loop, const Invitation& meeting, const Entry& entry)
      : loop_(loop), meeting_(meeting), entry_(entry) {}

  void dial() {
    if (over_) return;
    auto fd = connect_tcp(meeting_.root);
    if (!fd.ok()) return again(std::string(fd.status().message()));
    const Key key = meeting_.key();
    link_ = Link::dial(loop_, std::move(fd).value(), true, key, door_of(key, "usher", ""), weak_from_this());
    if (!link_) again("no memory to watch a socket");
  }
  void end() {
    over_ = true;
    loop_.cancel(pause_timer_);
    link_.reset();
  }

  void on_open(Link& link) override { link.send(Message::kEnter, entry_.encode()); }

  void on_message(Link&, Message type, BytesView payload) override {
    Admission admission;
    Failure failure;
    if (type == Message::kAdmit && Admission::parse(payload, &admission)) {
      Invitation told = meeting_;
      told.meeting = false;
      told.root = admission.root;
      told.communicator = admission.communicator;
      settle(told);
    } else if (type == Message::kFail && Failure::parse(payload, &failure)) {
      settle(failure.status);
    } else {
      settle(Status(Code::kInternal,
                    fmt::format("rank 0 at {} sent a message of kind {} that cannot be read here",
                                meeting_.root.text(), static_cast<int>(type))));
    }
  }

  void on_closed(Link&, int error) override {
    const auto self = shared_from_this();
    link_.reset();
    again(error == 0 || error == EPROTO
              ? "it hung up: it knows another secret, or does not wait for this rank"
              : std::generic_category().message(error));
  }

  // What came of it, or, when the time is over, why nothing did.
  Result<Invitation> wait(milliseconds timeout, const std::atomic<bool>* cancelled) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    std::unique_lock lock(mutex_);
    while (!outcome_) {
      if (cancelled != nullptr && cancelled->load(std::memory_order_acquire))
        return Status(Code::kAborted, "given up: this rank's communicator was aborted meanwhile");
      const auto now = std::chrono::steady_clock::now();
      if (now >= until) return nobody(timeout);
      changed_.wait_until(lock, cancelled != nullptr ? std::min(until, now + kCancelPoll) : until);
    }
    return *outcome_;
  }

 private:
  void again(const std::string& why) {
    {
      const std::scoped_lock lock(mutex_);
      if (outcome_) return;
      last_ = why;
    }
    pause_timer_ = loop_.after(pause_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->dial();
    });
    pause_ = std::min(2 * pause_, kLongestPause);
  }

  void settle(Result<Invitation> outcome) {
    const std::scoped_lock lock(mutex_);
    outcome_ = std::move(outcome);
    changed_.notify_all();
  }

  Status nobody(milliseconds timeout) const {
    return Status(
        Code::kRemote,
        fmt::format("rank 0 did not let this rank in at NCCL_COMM_ID ({}) within {:g} s (last: {}); has "
                    "it started, with the same NCCL_COMM_ID and HANSA_SECRET?",
                    meeting_.root.text(), static_cast<double>(timeout.count()) / 1000,
                    last_.empty() ? "no answer" : last_));
  }

  control::EventLoop& loop_;
  const Invitation meeting_;
  const Entry entry_;
  std::shared_ptr<Link> link_;
  control::EventLoop::Token pause_timer_ = 0;
  milliseconds pause_ = kFirstPause;
  bool over_ = false;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::optional<Result<Invitation>> outcome_;
  std::string last_;
};

}  // namespace

Result<Invitation> ask_usher(control::EventLoop& loop, const Invitation& meeting, const Entry& entry,
                             milliseconds timeout, const std::atomic<bool>* cancelled) {
  const auto asker = std::make_shared<Asker>(loop, meeting, entry);
  loop.run([&] { asker->dial(); });
  auto outcome = asker->wait(timeout, cancelled);
  loop.run([&] { asker->end(); });
  return outcome;
}

}  // namespace hansa::bootstrap
