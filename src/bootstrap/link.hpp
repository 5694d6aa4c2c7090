// One authenticated connection, TCP or local: handshake, then frames. Control thread only.
//
// A link belongs to whoever holds the shared_ptr and reports to its owner, which it does not keep alive.
// Dropping the last reference closes it without a word to the owner; peers read what was sent before.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "bootstrap/frame.hpp"
#include "bootstrap/handshake.hpp"
#include "bootstrap/link_end.hpp"
#include "bootstrap/messages.hpp"
#include "bootstrap/silence.hpp"
#include "control/descriptor.hpp"
#include "control/event_loop.hpp"

namespace hansa::bootstrap {

class Link;

class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  virtual void on_open(Link& link) = 0;  // proven both ways
  virtual void on_message(Link& link, Message type, BytesView payload) = 0;
  // This process has no memory for what came over the link, which ends next: what it can still say, it says
  // now.
  virtual void on_starved(Link&) {}
  // Once, not after close(). `error` is an errno: 0 for a plain end, EPROTO where the peer could not prove
  // the key, sent garbage or was too slow in the handshake, ENOMEM after on_starved().
  virtual void on_closed(Link& link, int error) = 0;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  using FindKey = std::function<std::optional<Key>(const Door&)>;

  // Over a socket that is connected or about to be (`connecting`). Reports by the owner only, never from
  // within.
  static std::shared_ptr<Link> dial(control::EventLoop& loop, control::Descriptor fd, bool connecting,
                                    const Key& key, const Door& door, std::weak_ptr<LinkOwner> owner);
  // Over an accepted socket. Who asks for a door that `find` does not know waits for 100 ms, in which retry()
  // may let him in; then the link is closed without a word.
  static std::shared_ptr<Link> accept(control::EventLoop& loop, control::Descriptor fd, FindKey find,
                                      std::weak_ptr<LinkOwner> owner);
  ~Link();

  void retry();

  void set_owner(std::weak_ptr<LinkOwner> owner) { owner_ = std::move(owner); }
  // Frames with larger payloads are garbage. kMostMessage at first.
  void set_most_payload(std::size_t bytes) { most_payload_ = bytes; }
  // Also reports the end when process `pid` ends, though a forked child of it may keep its socket open.
  void watch_process(std::int32_t pid);

  // In order, never blocks; what the socket does not take now waits in memory. Ignored once closed.
  void send(Message type, BytesView payload);
  void close();

  bool is_open() const noexcept { return phase_ == Phase::kOpen; }
  bool was_open() const noexcept { return opened_; }  // proven once, whatever came afterwards
  const Door& door() const noexcept { return transcript_.door; }
  int fd() const noexcept { return fd_.get(); }
  // Of a link to another host that has ended for want of an answer: what it went over.
  const Rail& rail() const noexcept { return rail_; }

 private:
  enum class Phase { kConnecting, kAwaitHello, kAwaitChallenge, kAwaitAnswer, kOpen, kClosed };

  Link(control::EventLoop& loop, control::Descriptor fd, std::weak_ptr<LinkOwner> owner);
  bool start(Phase phase);
  void start_deadline(std::chrono::milliseconds patience);
  void on_events(std::uint32_t events);
  void finish_connecting();
  void receive();
  void consume();
  bool consume_one(BytesView bytes, std::size_t* used);
  bool wait_at_door();
  bool consume_frame(BytesView bytes, std::size_t* used);
  void open(Side side);
  void write(std::vector<std::byte> bytes);
  void flush();
  void watch_silence(std::chrono::milliseconds delay);
  void starve();
  void end(int error);
  void release();

  control::EventLoop& loop_;
  control::Descriptor fd_, process_;
  std::weak_ptr<LinkOwner> owner_;
  const bool over_network_;
  FindKey find_;
  Phase phase_ = Phase::kClosed;
  bool connecting_ = false, opened_ = false, writing_ = false, at_closed_door_ = false;
  Key key_{};
  Transcript transcript_;
  std::optional<FrameSealer> sealer_;
  std::optional<FrameOpener> opener_;
  std::size_t most_payload_ = kMostMessage;
  control::EventLoop::Token watch_ = 0, process_watch_ = 0, deadline_ = 0, silence_timer_ = 0;
  Silence silence_;
  Rail rail_;
  std::vector<std::byte> inbox_;
  std::deque<std::vector<std::byte>> outbox_;
  std::size_t sent_of_first_ = 0;
};

}  // namespace hansa::bootstrap
