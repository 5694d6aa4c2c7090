// Ranks that meet at MASTER_ADDR:MASTER_PORT, among strangers; and the store of torchrun's agent, when it
// lies.
#include "bootstrap/launchers/hand_out.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "bootstrap/bytes.hpp"
#include "bootstrap/launchers/store.hpp"
#include "scripted_pmi.hpp"

namespace hansa::bootstrap {
namespace {

using test::some_bytes;
using test::Variables;
using namespace std::chrono_literals;

// Free a moment ago.
std::uint16_t some_port() {
  NetworkAddress address = choose_address("127.0.0.1").value();
  const auto listener = listen_tcp(&address, 0, 0);
  return address.port;
}

Variables environment_of(int rank, int ranks, std::uint16_t port) {
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(ranks)},
          {"MASTER_ADDR", "localhost"},
          {"MASTER_PORT", std::to_string(port)}};
}

Result<std::vector<std::byte>> broadcast(const Variables& environment, std::vector<std::byte> bytes,
                                         std::chrono::milliseconds patience) {
  auto launcher = find_launcher(environment.lookup());
  if (!launcher.ok()) return launcher.status();
  if (!launcher.value()) return Status(Code::kInternal, "no launcher");
  return launcher.value()->broadcast(std::move(bytes), patience);
}

// Connects as soon as somebody listens; says `bytes`, then nothing more.
Stream stranger(std::uint16_t port, BytesView bytes) {
  MeetingPoint point{"here", {choose_address("127.0.0.1").value()}, true};
  point.addresses[0].port = port;
  std::vector<Stream> met;
  const Status status = meet(point, deadline_in(60s), [&](Stream stream, Deadline until) {
    const Status said = stream.write(bytes, until);
    met.push_back(std::move(stream));
    return Encounter{said, false};
  });
  EXPECT_TRUE(status.ok()) << status.c_str();
  return std::move(met.at(0));
}

TEST(HandOut, MessagesComeBack) {
  const HandOutRequest request{7, 3, 12};
  const auto bytes = encode(request);
  ASSERT_EQ(kHandOutRequestBytes, bytes.size());
  const auto parsed = parse_hand_out_request(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(7u, parsed->broadcast);
  EXPECT_EQ(3u, parsed->rank);
  EXPECT_EQ(12u, parsed->ranks);
  for (const HandOutRequest wrong : {HandOutRequest{0, 0, 2}, {0, 2, 2}, {0, 1, 0}, {0, 1, 1u << 30}})
    EXPECT_FALSE(parse_hand_out_request(encode(wrong))) << wrong.rank << " of " << wrong.ranks;
  EXPECT_FALSE(parse_hand_out_request(BytesView(bytes).first(19)));
  const auto answer = encode({HandOutVerdict::kHere, 4096}, {});
  ASSERT_EQ(kHandOutAnswerBytes, answer.size());
  EXPECT_EQ(4096u, parse_hand_out_answer(answer)->number);
  EXPECT_FALSE(parse_hand_out_answer(encode({HandOutVerdict::kHere, 4097}, {})));
  EXPECT_FALSE(parse_hand_out_answer(encode({static_cast<HandOutVerdict>(4), 0}, {})));
}

TEST(HandOut, AllRanksGetEveryBroadcast) {
  constexpr int kRanks = 5;
  const std::uint16_t port = some_port();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([=] {
      const Variables environment = environment_of(rank, kRanks, port);
      auto launcher = find_launcher(environment.lookup());
      ASSERT_TRUE(launcher.ok()) << launcher.status().c_str();
      EXPECT_EQ("MASTER_ADDR", launcher.value()->job().launcher);
      for (const std::size_t size : {128, 0, 4096}) {
        const auto got = launcher.value()->broadcast(some_bytes(rank == 0 ? size : 1), 60s);
        ASSERT_TRUE(got.ok()) << "rank " << rank << ": " << got.status().c_str();
        EXPECT_EQ(some_bytes(size), got.value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What rank 0 says to a connection.
HandOutVerdict verdict_for(Stream& stream) {
  std::array<std::byte, kHandOutAnswerBytes> head;
  const Status got = stream.read(head, deadline_in(60s));
  EXPECT_TRUE(got.ok()) << got.c_str();
  const auto answer = parse_hand_out_answer(head);
  EXPECT_TRUE(answer.has_value());
  return answer ? answer->verdict : HandOutVerdict::kHere;
}

// More of them than rank 0 lets in at once: silent, stopping half-way, talking nonsense.
TEST(HandOut, StrangersDoNotHoldItUp) {
  const std::uint16_t port = some_port();
  Result<std::vector<std::byte>> served = Status(Code::kInternal, "not yet");
  std::thread root([&] { served = broadcast(environment_of(0, 2, port), some_bytes(128), 60s); });
  const auto request = encode(HandOutRequest{0, 1, 2});
  const std::vector<std::byte> noise(100, std::byte{'G'});
  std::vector<Stream> strangers;
  for (std::size_t i = 0; i < kMostGuests + 20; ++i) {
    strangers.push_back(
        stranger(port, i % 2 ? BytesView() : BytesView(request).first(i % kHandOutRequestBytes)));
    if (i % 3 == 0) stranger(port, noise);
  }
  // Those who came first have had to make room by the time that somebody who came later is answered.
  Stream curious = stranger(port, encode(HandOutRequest{1, 1, 2}));
  EXPECT_EQ(HandOutVerdict::kNotNow, verdict_for(curious));
  std::byte byte;
  EXPECT_EQ("the other end has closed the connection",
            strangers[0].read(Bytes(&byte, 1), deadline_in(0s)).message());
  const auto got = broadcast(environment_of(1, 2, port), {}, 60s);
  root.join();
  ASSERT_TRUE(served.ok()) << served.status().c_str();
  ASSERT_TRUE(got.ok()) << got.status().c_str();
  EXPECT_EQ(some_bytes(128), got.value());
}

// Rank 0's end by itself: bytes for ranks 1 and 2.
class Server {
 public:
  explicit Server(std::chrono::milliseconds guest_patience)
      : listener_(listen_tcp(&address_, 0, 0).value()), thread_([this, guest_patience] {
          done_ = hand_out(listener_.get(), some_bytes(9), 0, 3, deadline_in(60s), guest_patience);
        }) {}
  ~Server() {
    thread_.join();
    EXPECT_TRUE(done_.ok()) << done_.c_str();
  }
  Stream ask_as(std::uint32_t rank) const {
    return stranger(address_.port, encode(HandOutRequest{0, rank, 3}));
  }
  void serves(std::uint32_t rank) const {
    const auto got = ask_for({"here", {address_}, true}, {0, rank, 3}, deadline_in(60s));
    ASSERT_TRUE(got.ok()) << got.status().c_str();
    EXPECT_EQ(some_bytes(9), got.value());
  }

 private:
  NetworkAddress address_ = choose_address("127.0.0.1").value();
  control::Descriptor listener_;
  Status done_ = Status(Code::kInternal, "not yet");
  std::thread thread_;
};

TEST(HandOut, ServesARankOnOneConnectionAtATime) {
  const Server server(60s);
  Stream first = server.ask_as(1), second = server.ask_as(1);
  EXPECT_EQ(HandOutVerdict::kHere, verdict_for(first));
  EXPECT_EQ(HandOutVerdict::kNotNow, verdict_for(second));
  std::array<std::byte, 9> bytes;
  EXPECT_TRUE(first.read(bytes, deadline_in(60s)).ok());
  EXPECT_TRUE(first.write("k", deadline_in(60s)).ok());
  server.serves(2);
}

// One that says no more keeps its rank for a while only.
TEST(HandOut, WaitsForNoConnectionForLong) {
  const Server server(50ms);
  const Stream first = server.ask_as(1), second = server.ask_as(2);
  server.serves(2);
  server.serves(1);
}

// Whoever came before as this rank and left without having taken the bytes does not keep them from it.
TEST(HandOut, BrokenConnectionsCountForNothing) {
  const std::uint16_t port = some_port();
  Result<std::vector<std::byte>> served = Status(Code::kInternal, "not yet");
  std::thread root([&] { served = broadcast(environment_of(0, 2, port), some_bytes(128), 60s); });
  stranger(port, encode(HandOutRequest{0, 1, 2}));  // closed at once
  const auto got = broadcast(environment_of(1, 2, port), {}, 60s);
  root.join();
  ASSERT_TRUE(served.ok()) << served.status().c_str();
  EXPECT_EQ(some_bytes(128), got.value());
}

TEST(HandOut, MismatchesAreNamed) {
  const std::uint16_t port = some_port();
  Result<std::vector<std::byte>> served = Status(Code::kInternal, "not yet");
  std::thread root([&] { served = broadcast(environment_of(0, 3, port), some_bytes(128), 60s); });
  const auto other_size = broadcast(environment_of(1, 2, port), {}, 60s);
  EXPECT_EQ(Code::kInvalidUsage, other_size.status().code());
  EXPECT_NE(std::string_view::npos, other_size.status().message().find("WORLD_SIZE is 3"))
      << other_size.status().c_str();
  EXPECT_TRUE(broadcast(environment_of(1, 3, port), {}, 60s).ok());
  const auto twice = broadcast(environment_of(1, 3, port), {}, 60s);
  EXPECT_EQ(Code::kInvalidUsage, twice.status().code());
  EXPECT_NE(std::string_view::npos, twice.status().message().find("as rank 1 before"))
      << twice.status().c_str();
  EXPECT_TRUE(broadcast(environment_of(2, 3, port), {}, 60s).ok());
  root.join();
  EXPECT_TRUE(served.ok()) << served.status().c_str();
}

TEST(HandOut, AbsentRanksAreNamed) {
  const auto alone = broadcast(environment_of(0, 12, some_port()), some_bytes(1), 50ms);
  EXPECT_EQ(Code::kRemote, alone.status().code());
  EXPECT_NE(std::string_view::npos,
            alone.status().message().find("11 of 12 ranks have not come in time: 1, 2,"))
      << alone.status().c_str();
  const auto without = broadcast(environment_of(1, 2, some_port()), {}, 50ms);
  EXPECT_EQ(Code::kRemote, without.status().code());
  EXPECT_NE(std::string_view::npos, without.status().message().find("refused")) << without.status().c_str();
}

TEST(HandOut, TakenPortsAreNamed) {
  NetworkAddress address = choose_address("127.0.0.1").value();
  const auto listener = listen_tcp(&address, 0, 0);
  const auto refused = broadcast(environment_of(0, 2, address.port), some_bytes(1), 60s);
  EXPECT_EQ(Code::kSystem, refused.status().code());
  EXPECT_NE(std::string_view::npos, refused.status().message().find("set MASTER_PORT"))
      << refused.status().c_str();
  // Who listens there says nothing: that is not waited for beyond one's patience.
  const auto silent = broadcast(environment_of(1, 2, address.port), {}, 100ms);
  EXPECT_EQ(Code::kRemote, silent.status().code());
}

TEST(HandOut, SlurmTasksMeetThereToo) {
  const std::uint16_t port = some_port();
  const auto task = [port](int rank) {
    return Variables{{"SLURM_PROCID", std::to_string(rank)},
                     {"SLURM_STEP_NUM_TASKS", "2"},
                     {"MASTER_ADDR", "127.0.0.1"},
                     {"MASTER_PORT", std::to_string(port)}};
  };
  std::thread root([&] { EXPECT_TRUE(broadcast(task(0), some_bytes(128), 60s).ok()); });
  const auto got = broadcast(task(1), {}, 60s);
  root.join();
  ASSERT_TRUE(got.ok()) << got.status().c_str();
  EXPECT_EQ(some_bytes(128), got.value());
}

// A name that is this host's loopback here may be its address elsewhere.
TEST(MeetingPoint, NamesOfLoopbackListenEverywhere) {
  MeetingPoint point{"node:1", {choose_address("127.0.1.1").value()}, false};
  EXPECT_EQ("0.0.0.0", listening_address(point).host_text());
  point.here_only = true;
  EXPECT_EQ("127.0.1.1", listening_address(point).host_text());
  point = {"node:1", {choose_address("10.1.2.3").value()}, false};
  EXPECT_EQ("10.1.2.3", listening_address(point).host_text());
}

// What the store may answer, after which the connection ends.
Status ask_store(std::initializer_list<int> answer) {
  int pair[2];
  EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  std::string bytes(answer.begin(), answer.end());
  EXPECT_EQ(static_cast<ssize_t>(bytes.size()), send(pair[1], bytes.data(), bytes.size(), 0));
  shutdown(pair[1], SHUT_WR);
  Store store{Stream(control::Descriptor(pair[0]))};
  const Status status = store.wait_and_get("key", 16, deadline_in(10s)).status();
  close(pair[1]);
  return status;
}

TEST(Store, StrangeAnswersAreErrors) {
  EXPECT_TRUE(ask_store({0, 2, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'}).ok());
  EXPECT_FALSE(ask_store({}).ok());
  EXPECT_FALSE(ask_store({1, 2, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'}).ok());     // waiting was cancelled
  EXPECT_FALSE(ask_store({0, 2, 0, 0, 0, 0, 0, 0, 0, 'a'}).ok());          // ends before it is complete
  EXPECT_FALSE(ask_store({0, 17, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'}).ok());    // longer than asked for
  EXPECT_FALSE(ask_store({0, 2, 0, 0, 0, 0, 0, 0, 0x7f, 'a', 'b'}).ok());  // longer than memory
}

Variables agent_of(int rank, std::uint16_t port) {
  Variables environment = environment_of(rank, 2, port);
  environment["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  return environment;
}

// Nobody at the agent's port, or somebody who says nothing.
TEST(Store, AbsentAgentsAreNamed) {
  const auto expect = [](std::uint16_t port, std::string_view why) {
    const auto got = broadcast(agent_of(1, port), {}, 100ms);
    EXPECT_EQ(Code::kRemote, got.status().code());
    const std::string message(got.status().message());
    EXPECT_NE(std::string::npos, message.find("TORCHELASTIC_USE_AGENT_STORE")) << message;
    EXPECT_NE(std::string::npos, message.find(why)) << message;
  };
  expect(some_port(), "refused");
  NetworkAddress address = choose_address("127.0.0.1").value();
  const auto listener = listen_tcp(&address, 0, 0);
  expect(address.port, "no answer in time");
}

}  // namespace
}  // namespace hansa::bootstrap
