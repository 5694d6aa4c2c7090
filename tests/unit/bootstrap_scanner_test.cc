// Strangers at the ports: garbage, half-open and trickling connections, floods and thieves of public bytes.
// Joining must not notice.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "bootstrap/gate.hpp"
#include "bootstrap/unique_id.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {
namespace {

SessionOptions on_host(int host) {
  SessionOptions options;
  options.interface = "127.0.0." + std::to_string(host + 1);
  options.host_id = "h" + std::to_string(host);
  options.timeout = std::chrono::milliseconds(60'000);
  return options;
}

// What a scanner says; some of it looks like us.
std::vector<std::byte> utterance(std::mt19937& random, const Door& real_door) {
  Transcript transcript;
  switch (random() % 5) {
    case 0: {
      const std::string_view request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
      const BytesView bytes = std::as_bytes(std::span(request));
      return {bytes.begin(), bytes.end()};
    }
    case 1: {
      std::vector<std::byte> noise(1 + random() % 3000);
      for (std::byte& byte : noise) byte = static_cast<std::byte>(random() & 255u);
      return noise;
    }
    case 2:
      return {};  // says nothing
    case 3:
      transcript.door = real_door;
      break;  // overheard; the proof will be missing
    default:
      break;
  }
  const auto hello = make_hello(transcript);
  std::vector<std::byte> bytes(hello.begin(), hello.end());
  if (random() % 2) bytes.resize(bytes.size() + kAnswerBytes + random() % 100, std::byte{0x5a});
  if (random() % 2) bytes.resize(1 + random() % bytes.size());
  return bytes;
}

class Scanner {
 public:
  Scanner(NetworkAddress at, const Door& door) : thread_([this, at, door] { run(at, door); }) {}
  ~Scanner() {
    stop_ = true;
    thread_.join();
    printf("the scanner made %d connections\n", connections_);
  }

 private:
  void run(NetworkAddress at, const Door& door) {
    std::mt19937 random(4711);
    std::vector<control::Descriptor> held;
    while (!stop_) {
      auto fd = connect_tcp(at);
      if (!fd.ok()) continue;
      ++connections_;
      usleep(300);
      const auto bytes = utterance(random, door);
      [[maybe_unused]] const auto sent =
          ::send(fd.value().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      held.push_back(std::move(fd).value());
      // Some connections stay, and trickle.
      for (std::size_t i = 0; i < held.size(); i += 50) {
        [[maybe_unused]] const auto one = ::send(held[i].get(), "H", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      }
      if (held.size() > 500) held.erase(held.begin(), held.begin() + 250);
    }
  }
  std::atomic<bool> stop_{false};
  int connections_ = 0;
  std::thread thread_;
};

TEST(Scanner, DoesNotDisturbJoiningNorWhatFollows) {
  constexpr Rank kRanks = 4;
  constexpr int kRounds = 60;
  const auto first = create_unique_id(on_host(0));
  ASSERT_TRUE(first.ok());
  const Invitation invitation = parse_unique_id(first.value()).value();
  Scanner scanner(invitation.root, door_of(invitation.key(), "root", ""));
  for (int round = 0; round < kRounds; ++round) {
    // All ids of a process wait at the same port.
    const auto id = round == 0 ? first : create_unique_id(on_host(0));
    ASSERT_TRUE(id.ok()) << id.status().c_str();
    std::vector<std::thread> threads;
    for (Rank rank = 0; rank < kRanks; ++rank) {
      threads.emplace_back([&, rank] {
        auto session = join(id.value(), rank, kRanks, on_host(rank / 2));
        ASSERT_TRUE(session.ok()) << session.status().c_str();
        const auto table = session.value()->allgather(std::vector<std::byte>(100));
        EXPECT_TRUE(table.ok()) << table.status().c_str();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

struct Waiter : LinkOwner {
  std::atomic<int> opened{0}, closed{0};
  void on_open(Link&) override { opened = 1; }
  void on_message(Link&, Message, BytesView) override {}
  void on_closed(Link&, int) override { closed = 1; }
};

TEST(Stranger, WithAWrongKeyIsTurnedAwayAtTheRightDoor) {
  const auto id = create_unique_id(on_host(0));
  ASSERT_TRUE(id.ok());
  const Invitation invitation = parse_unique_id(id.value()).value();
  control::EventLoop& loop = *control::EventLoop::of_this_process().value();
  const auto waiter = std::make_shared<Waiter>();
  std::shared_ptr<Link> link;
  loop.run([&] {
    link = Link::dial(loop, connect_tcp(invitation.root).value(), true, random_key(),
                      door_of(invitation.key(), "root", ""), waiter);
  });
  while (!waiter->closed && !waiter->opened) usleep(500);
  EXPECT_TRUE(waiter->closed);
  EXPECT_FALSE(waiter->opened);
  loop.run([&] { link.reset(); });
}

struct Keeper : DoorKeeper {
  void on_link(std::shared_ptr<Link>, bool) override {}
  void on_exhausted(const Status&) override {}
};

// A hello at `door`, and `more` bytes.
control::Descriptor knock(const NetworkAddress& at, const Door& door, std::size_t more = 0) {
  control::Descriptor fd = connect_tcp(at).value();
  pollfd writable{fd.get(), POLLOUT, 0};
  poll(&writable, 1, -1);
  Transcript transcript;
  transcript.door = door;
  const auto hello = make_hello(transcript);
  std::vector<std::byte> bytes(hello.begin(), hello.end());
  bytes.resize(bytes.size() + more);
  EXPECT_EQ(std::ssize(bytes), ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  return fd;
}

// Whether it was challenged, and not turned away.
bool answered(const control::Descriptor& fd) {
  pollfd readable{fd.get(), POLLIN, 0};
  poll(&readable, 1, -1);
  std::byte bytes[kChallengeBytes];
  return ::recv(fd.get(), bytes, sizeof bytes, 0) == std::ssize(bytes);
}

TEST(Gate, WhoComesBeforeTheDoorOpensIsLetInThen) {
  control::EventLoop& loop = *control::EventLoop::of_this_process().value();
  const Key key = random_key();
  const Door open = door_of(key, "open", ""), late = door_of(key, "late", "");
  const auto keeper = std::make_shared<Keeper>();
  std::shared_ptr<Gate> gate;
  loop.run([&] {
    gate = Gate::at(loop, "127.0.0.1", 0, 0).value();
    gate->open_door(open, key, keeper);
  });
  bool let_in = false;
  // A gate that is slow to look waits no longer than one that is not: some tries may come too late.
  for (int i = 0; i < 50 && !let_in; ++i) {
    const auto early = knock(gate->address(), late);
    ASSERT_TRUE(answered(knock(gate->address(), open)));  // so the one before was heard
    loop.run([&] { gate->open_door(late, key, keeper); });
    let_in = answered(early);
    loop.run([&] { gate->close_door(late); });
  }
  EXPECT_TRUE(let_in);
  EXPECT_FALSE(answered(knock(gate->address(), late))) << "a door that stays closed";
  EXPECT_FALSE(answered(knock(gate->address(), late, 1))) << "who does not wait for the challenge";
  loop.run([&] { gate.reset(); });
}

}  // namespace
}  // namespace hansa::bootstrap
