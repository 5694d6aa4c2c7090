#include "bootstrap/last_word.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "bootstrap/frame.hpp"
#include "bootstrap/handshake.hpp"
#include "bootstrap/messages.hpp"
#include "bootstrap/withdrawal.hpp"

namespace hansa::bootstrap {
namespace {

using Clock = std::chrono::steady_clock;

// The root of a reunion may come a moment later, and who dies is to be known to all within a second.
constexpr std::chrono::milliseconds kPatience{800}, kRedial{50};

// A socket and the time there is left for it.
class Conversation {
 public:
  Conversation(control::Descriptor fd, Clock::time_point until) : fd_(std::move(fd)), until_(until) {}

  bool connected() {
    int error = 0;
    socklen_t bytes = sizeof error;
    return ready(POLLOUT) && getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
  }
  bool say(BytesView bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
      if (sent < 0 && !(passing(errno) && ready(POLLOUT))) return false;
    }
    return true;
  }
  bool hear(Bytes bytes) {
    while (!bytes.empty()) {
      const auto got = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && !(passing(errno) && ready(POLLIN)))) return false;
    }
    return true;
  }
  // Until the other side has read it all and hung up, or the time is over.
  void finish() {
    shutdown(fd_.get(), SHUT_WR);
    std::byte rest[256];
    while (hear(rest)) {
    }
  }

 private:
  static bool passing(int error) { return error == EAGAIN || error == EINTR; }
  bool ready(short what) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - Clock::now()).count();
    pollfd wait{fd_.get(), what, 0};
    return left > 0 && ::poll(&wait, 1, static_cast<int>(left)) > 0;
  }

  control::Descriptor fd_;
  const Clock::time_point until_;
};

// Whether the root has heard it, or never will.
bool told(const Invitation& invitation, BytesView word, Clock::time_point until) {
  auto fd = connect_tcp(invitation.root);
  if (!fd.ok()) return true;
  Conversation root(std::move(fd).value(), until);
  if (!root.connected()) return true;
  Key key = invitation.key();
  Transcript transcript;
  transcript.door = door_of(key, "root", "");
  transcript.dialer = random_key();
  std::array<std::byte, kChallengeBytes> challenge;
  const bool proven = root.say(make_hello(transcript)) && root.hear(challenge) &&
                      check_challenge(challenge, key, &transcript) && root.say(make_answer(key, transcript));
  if (proven) {
    FrameSealer sealer(frame_key(key, transcript, Side::kDialer));
    if (root.say(sealer.seal(static_cast<std::uint8_t>(Message::kCannotCome), word))) root.finish();
  }
  forget(&key);
  return proven;
}

}  // namespace

void tell_root(const Invitation& invitation, Rank rank, const Status& news) {
  const auto until = Clock::now() + kPatience;
  const auto word = Dismissal{rank, news}.encode();
  while (!told(invitation, word, until) && Clock::now() + kRedial < until)
    std::this_thread::sleep_for(kRedial);
}

}  // namespace hansa::bootstrap
