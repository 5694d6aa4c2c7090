#include "bootstrap/link.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <new>

namespace hansa::bootstrap {
namespace {

using control::Descriptor;
using control::EventLoop;

// From the connection to the last proof. A peer that trickles bytes gains nothing.
constexpr std::chrono::milliseconds kHandshakeDeadline{4000};
// Who comes for a communicator that another rank is about to serve need not come again.
constexpr std::chrono::milliseconds kDoorPatience{100};
constexpr std::size_t kReadBytes = 64 << 10;
constexpr int kReadsAtOnce = 16;  // then other links have their turn
// What a host that is there takes at once is not looked after.
constexpr std::chrono::milliseconds kTaking{500}, kLookAgain{250};

Nonce fresh_nonce() { return random_key(); }

}  // namespace

Link::Link(EventLoop& loop, Descriptor fd, std::weak_ptr<LinkOwner> owner)
    : loop_(loop),
      fd_(std::move(fd)),
      owner_(std::move(owner)),
      over_network_(Silence::look(fd_.get()).has_value()) {}

std::shared_ptr<Link> Link::dial(EventLoop& loop, Descriptor fd, bool connecting, const Key& key,
                                 const Door& door, std::weak_ptr<LinkOwner> owner) {
  std::shared_ptr<Link> link(new Link(loop, std::move(fd), std::move(owner)));
  link->key_ = key;
  link->connecting_ = connecting;
  link->transcript_.door = door;
  link->transcript_.dialer = fresh_nonce();
  // A connected socket is writable at once, so both kinds take the same path.
  if (!link->start(Phase::kConnecting)) return nullptr;
  if (!connecting) link->start_deadline(kHandshakeDeadline);
  return link;
}

std::shared_ptr<Link> Link::accept(EventLoop& loop, Descriptor fd, FindKey find,
                                   std::weak_ptr<LinkOwner> owner) {
  std::shared_ptr<Link> link(new Link(loop, std::move(fd), std::move(owner)));
  link->find_ = std::move(find);
  link->transcript_.acceptor = fresh_nonce();
  if (!link->start(Phase::kAwaitHello)) return nullptr;
  link->start_deadline(kHandshakeDeadline);
  return link;
}

Link::~Link() {
  release();
  forget(&key_);
}

bool Link::start(Phase phase) {
  phase_ = phase;
  auto watched = loop_.add(fd_.get(), phase == Phase::kConnecting ? EPOLLOUT : EPOLLIN,
                           [weak = weak_from_this()](std::uint32_t events) {
                             if (const auto self = weak.lock()) self->on_events(events);
                           });
  if (!watched.ok()) return false;
  watch_ = watched.value();
  return true;
}

void Link::start_deadline(std::chrono::milliseconds patience) {
  loop_.cancel(deadline_);
  deadline_ = loop_.after(patience, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->end(EPROTO);
  });
}

void Link::retry() {
  const auto self = shared_from_this();
  if (at_closed_door_) consume();
}

void Link::watch_process(std::int32_t pid) {
  if (pid <= 0 || pid == getpid() || phase_ == Phase::kClosed) return;
  process_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  // Without it (an old kernel, another pid namespace) the end of the socket has to do.
  if (!process_.open()) return;
  auto watched = loop_.add(process_.get(), EPOLLIN, [weak = weak_from_this()](std::uint32_t) {
    const auto self = weak.lock();
    if (!self) return;
    self->loop_.remove(self->process_watch_);
    self->receive();  // what it said before it ended counts
    self->end(0);
  });
  if (watched.ok()) process_watch_ = watched.value();
}

void Link::on_events(std::uint32_t events) {
  const auto self = shared_from_this();  // the owner may drop the link meanwhile
  if (phase_ == Phase::kConnecting) return finish_connecting();
  try {
    if (events & EPOLLOUT) flush();
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive();
  } catch (const std::bad_alloc&) {
    starve();
  }
}

// What it says next could not be read. Little memory may still be had where much is not.
void Link::starve() {
  try {
    if (const auto owner = owner_.lock(); owner && is_open()) owner->on_starved(*this);
  } catch (const std::bad_alloc&) {
    // The end of the link has to do.
  }
  end(ENOMEM);
}

void Link::finish_connecting() {
  int error = 0;
  socklen_t bytes = sizeof error;
  getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
  if (error != 0) return end(error);
  if (connecting_) {
    tune_tcp(fd_.get());  // only now: while connecting it would shorten the kernel's patience
    start_deadline(kHandshakeDeadline);
  }
  phase_ = Phase::kAwaitChallenge;
  loop_.modify(watch_, EPOLLIN);
  const auto hello = make_hello(transcript_);
  write({hello.begin(), hello.end()});
}

void Link::receive() {
  std::byte buffer[kReadBytes];
  for (int i = 0; i < kReadsAtOnce && phase_ != Phase::kClosed; ++i) {
    const auto got = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return end(got == 0 ? 0 : errno);
    inbox_.insert(inbox_.end(), buffer, buffer + got);
    consume();
    if (static_cast<std::size_t>(got) < sizeof buffer) return;  // that was all there is
  }
}

void Link::consume() {
  std::size_t done = 0, used = 0;
  while (phase_ != Phase::kClosed && consume_one(BytesView(inbox_).subspan(done), &used)) done += used;
  inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(done));
}

// False: more bytes are needed, or the link has ended.
bool Link::consume_one(BytesView bytes, std::size_t* used) {
  const auto fail = [this] {
    end(EPROTO);
    return false;
  };
  switch (phase_) {
    case Phase::kAwaitHello: {
      if (bytes.size() < kHelloBytes) return false;
      *used = kHelloBytes;
      if (!parse_hello(bytes.first(kHelloBytes), &transcript_)) return fail();
      const auto key = find_(transcript_.door);
      if (!key) return bytes.size() > kHelloBytes ? fail() : wait_at_door();
      if (at_closed_door_) start_deadline(kHandshakeDeadline);
      at_closed_door_ = false;
      key_ = *key;
      phase_ = Phase::kAwaitAnswer;
      const auto challenge = make_challenge(key_, transcript_);
      write({challenge.begin(), challenge.end()});
      return true;
    }
    case Phase::kAwaitChallenge: {
      if (bytes.size() < kChallengeBytes) return false;
      *used = kChallengeBytes;
      if (!check_challenge(bytes.first(kChallengeBytes), key_, &transcript_)) return fail();
      const auto answer = make_answer(key_, transcript_);
      write({answer.begin(), answer.end()});
      open(Side::kDialer);
      return true;
    }
    case Phase::kAwaitAnswer:
      if (bytes.size() < kAnswerBytes) return false;
      *used = kAnswerBytes;
      if (!check_answer(bytes.first(kAnswerBytes), key_, transcript_)) return fail();
      open(Side::kAcceptor);
      return true;
    case Phase::kOpen:
      return consume_frame(bytes, used);
    default:
      return false;
  }
}

// The hello stays where it is, to be read again.
bool Link::wait_at_door() {
  if (!at_closed_door_) start_deadline(kDoorPatience);
  at_closed_door_ = true;
  return false;
}

bool Link::consume_frame(BytesView bytes, std::size_t* used) {
  Frame frame;
  switch (opener_->open(bytes, most_payload_, &frame, used)) {
    case FrameOpener::Outcome::kNeedsMore:
      return false;
    case FrameOpener::Outcome::kForged:
      end(EPROTO);
      return false;
    case FrameOpener::Outcome::kFrame:
      break;
  }
  if (const auto owner = owner_.lock())
    owner->on_message(*this, static_cast<Message>(frame.type), frame.payload);
  return true;
}

void Link::open(Side side) {
  loop_.cancel(deadline_);
  const Side other = side == Side::kDialer ? Side::kAcceptor : Side::kDialer;
  sealer_.emplace(frame_key(key_, transcript_, side));
  opener_.emplace(frame_key(key_, transcript_, other));
  phase_ = Phase::kOpen;
  opened_ = true;
  if (const auto owner = owner_.lock()) owner->on_open(*this);
}

void Link::send(Message type, BytesView payload) {
  if (phase_ == Phase::kOpen) write(sealer_->seal(static_cast<std::uint8_t>(type), payload));
}

void Link::write(std::vector<std::byte> bytes) {
  outbox_.push_back(std::move(bytes));
  if (!writing_) flush();
}

// Errors are left to receive(), which first reads what the peer still said.
void Link::flush() {
  while (!outbox_.empty()) {
    const std::vector<std::byte>& first = outbox_.front();
    const auto sent = ::send(fd_.get(), first.data() + sent_of_first_, first.size() - sent_of_first_,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno == EAGAIN) break;
      outbox_.clear();
      sent_of_first_ = 0;
      break;
    }
    sent_of_first_ += static_cast<std::size_t>(sent);
    if (sent_of_first_ < first.size()) continue;
    outbox_.pop_front();
    sent_of_first_ = 0;
  }
  watch_silence(kTaking);
  const bool waits = !outbox_.empty();
  if (waits != writing_) {
    writing_ = waits;
    loop_.modify(watch_, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

void Link::watch_silence(std::chrono::milliseconds delay) {
  if (silence_timer_ != 0 || !over_network_) return;
  silence_timer_ = loop_.after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->phase_ == Phase::kClosed) return;
    self->silence_timer_ = 0;
    const auto sight = Silence::look(self->fd_.get());
    const auto verdict = sight ? self->silence_.judge(*sight) : Silence::Verdict::kTaken;
    if (verdict == Silence::Verdict::kGone) return self->end(ETIMEDOUT);
    if (verdict == Silence::Verdict::kWaiting) self->watch_silence(kLookAgain);
  });
}

void Link::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  owner_.reset();
  release();
}

void Link::end(int error) {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  phase_ = Phase::kClosed;
  if (LinkEnd{error}.is_silence()) rail_ = rail_of(fd_.get());
  release();
  if (const auto owner = owner_.lock()) owner->on_closed(*this, error);
}

void Link::release() {
  loop_.cancel(deadline_);
  loop_.cancel(silence_timer_);
  loop_.remove(watch_);
  loop_.remove(process_watch_);
  // A forked child may hold a copy of the socket, so closing ours would tell the peer nothing.
  if (fd_.open()) ::shutdown(fd_.get(), SHUT_RDWR);
  fd_ = Descriptor();
  process_ = Descriptor();
  outbox_.clear();
}

}  // namespace hansa::bootstrap
