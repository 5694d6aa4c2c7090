// What communicators and ranks of a process share over libfabric, when peers meet, and what is left of them.
// Two processes are two sets of shared parts here, driven by one thread or by one each.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "tests/contract/messages.hpp"
#include "transports/libfabric/libfabric.hpp"
#include "transports/libfabric/port.hpp"

namespace hansa::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);

// TCP sockets of this process: their descriptors by their state in the kernel's table.
std::map<std::string, std::vector<int>> own_sockets() {
  std::map<std::string, int> inodes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat about {};
    if (stat(entry.path().c_str(), &about) == 0 && S_ISSOCK(about.st_mode))
      inodes[std::to_string(about.st_ino)] = std::stoi(entry.path().filename());
  }
  std::map<std::string, std::vector<int>> states;
  std::ifstream file("/proc/net/tcp");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word[10];
    for (std::string& one : word) words >> one;
    if (inodes.contains(word[9])) states[word[3]].push_back(inodes[word[9]]);
  }
  return states;
}
std::size_t listeners() { return own_sockets()["0A"].size(); }
std::vector<int> connections() { return own_sockets()["01"]; }

std::size_t resident_bytes() {
  std::size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(getpagesize());
}

// All ranks of one communicator; rank r lives in the process parts[process_of(r)].
class Communicator {
 public:
  Communicator(std::uint64_t number, Rank ranks, const std::function<SharedParts*(Rank)>& parts) {
    for (Rank rank = 0; rank < ranks; ++rank) {
      auto opened =
          open_libfabric({.rank = rank, .ranks = ranks, .communicator = number, .shared = parts(rank)});
      EXPECT_TRUE(opened.ok()) << opened.status().c_str();
      transports.push_back(std::move(opened).value());
    }
    for (Rank rank = 0; rank < ranks; ++rank) {
      endpoints.emplace_back();
      for (Rank peer = 0; peer < ranks; ++peer) {
        auto connected = transports[at(rank)]->connect(peer, transports[at(peer)]->address());
        EXPECT_TRUE(connected.ok()) << connected.status().c_str();
        endpoints.back().push_back(std::move(connected).value());
      }
    }
  }
  Endpoint& from_to(Rank rank, Rank peer) { return *endpoints[at(rank)][at(peer)]; }
  void poll() {
    bool any = false;
    for (const auto& transport : transports) any = (transport && transport->poll()) || any;
    if (!any) std::this_thread::yield();
  }
  bool wait(const std::function<bool()>& ready) {
    const auto end = Clock::now() + kPatience;
    while (!ready()) {
      poll();
      if (Clock::now() > end) return false;
    }
    return true;
  }
  bool send(const Label& label) {
    std::byte* slot = nullptr;
    if (!wait([&] { return (slot = from_to(label.from, label.to).reserve(0, 0)) != nullptr; })) return false;
    fill(label, {slot, 64});
    from_to(label.from, label.to).commit(0, 64, stamp_of(label));
    return true;
  }
  bool receive(const Label& label) {
    Arrival arrival;
    if (!wait([&] { return (arrival = from_to(label.to, label.from).peek(0, 0)).data != nullptr; }))
      return false;
    const bool good = check(arrival, label, 64);
    from_to(label.to, label.from).release(0);
    return good;
  }
  // One message each way between the first two.
  bool exchange(std::uint32_t number, std::uint32_t salt) {
    for (const auto& [from, to] : {std::pair{0, 1}, {1, 0}})
      if (!send({from, to, 0, number, salt}) || !receive({from, to, 0, number, salt})) return false;
    return true;
  }
  void end(Rank rank) {
    endpoints[at(rank)].clear();
    transports[at(rank)].reset();
  }

  std::vector<std::unique_ptr<Transport>> transports;
  std::vector<std::vector<std::unique_ptr<Endpoint>>> endpoints;

 private:
  static std::size_t at(Rank rank) { return static_cast<std::size_t>(rank); }
};

TEST(LibfabricPort, OneEndpointServesAllCommunicatorsAndRanksOfAProcess) {
  SharedParts here;
  {
    std::vector<std::unique_ptr<Communicator>> all;
    for (std::uint64_t number = 1; number <= 3; ++number)
      all.push_back(std::make_unique<Communicator>(number, 4, [&](Rank) { return &here; }));
    EXPECT_EQ(listeners(), 1u);
    for (std::uint32_t number = 0; number < 3; ++number)
      for (Rank from = 0; from < 4; ++from)
        for (Rank to = 0; to < 4; ++to) ASSERT_TRUE(all[number]->send({from, to, 0, 0, number}));
    for (std::uint32_t number = 3; number-- > 0;)
      for (Rank from = 4; from-- > 0;)
        for (Rank to = 0; to < 4; ++to) ASSERT_TRUE(all[number]->receive({from, to, 0, 0, number}));
  }
  EXPECT_EQ(listeners(), 0u) << "the last to use it closes it";
}

// Some fabrics give a port that is opened anew the address of one before it.
TEST(LibfabricPort, AnotherPortAtTheSameAddressIsMetAnew) {
  using namespace libfabric;
  const auto library = Library::load().value();
  auto joined = Port::join(nullptr, library, {.address = "127.0.0.1", .ranks = 2}, 1,
                           [](const fi_info&, bool) { return std::size_t{1}; });
  ASSERT_TRUE(joined.ok()) << joined.status().c_str();
  Port& port = *joined.value().port;
  {
    const std::scoped_lock turn(port.turn());
    const fi_addr_t address = port.fabric().insert(port.fabric().name()).value();
    Door* const before = port.door(address, 1, 0, 0).value();
    EXPECT_EQ(port.door(address, 1, 0, 0).value(), before);
    port.enlist(*before);
    Door* const now = port.door(address, 2, 0, 0).value();
    EXPECT_NE(now, before);
    EXPECT_EQ(before->status().code(), Code::kRemote);
    EXPECT_TRUE(now->status().ok());
    port.enlist(*now);
  }
  for (int polls = 0; polls < 100; ++polls) port.poll();
  const std::scoped_lock turn(port.turn());
  EXPECT_TRUE(port.door(port.fabric().insert(port.fabric().name()).value(), 2, 0, 0).value()->stands());
}

TEST(LibfabricPort, CostsNothingForPeersThatNeverTalk) {
  constexpr Rank kRanks = 256;
  SharedParts here, there;
  const auto of = [&](Rank rank) { return rank == 0 ? &here : &there; };
  const auto open = [&](Rank rank) {
    return open_libfabric({.rank = rank, .ranks = kRanks, .lanes = 4, .communicator = 7, .shared = of(rank)});
  };
  auto self = open(0);
  ASSERT_TRUE(self.ok()) << self.status().c_str();
  std::vector<std::unique_ptr<Transport>> others;
  for (Rank rank = 1; rank <= 8; ++rank) {
    auto opened = open(rank);
    ASSERT_TRUE(opened.ok()) << opened.status().c_str();
    others.push_back(std::move(opened).value());
  }
  const std::size_t before = listeners();
  const std::size_t resident = resident_bytes();
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  const auto start = Clock::now();
  for (const auto& other : others) {
    auto connected = self.value()->connect(static_cast<Rank>(endpoints.size() + 1), other->address());
    ASSERT_TRUE(connected.ok()) << connected.status().c_str();
    endpoints.push_back(std::move(connected).value());
  }
  std::printf("8 peers connected in %.3f ms\n",
              std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  for (int polls = 0; polls < 1000; ++polls) self.value()->poll();
  EXPECT_TRUE(connections().empty()) << "nobody has anything to say";
  EXPECT_EQ(listeners(), before);
  // The rings of 8 peers are 8 MiB; a provider's own part in a peer is up to 270 kB.
  EXPECT_LT(resident_bytes(), resident + (std::size_t{3} << 20));
  EXPECT_TRUE(self.value()->idle());
}

TEST(LibfabricPort, MeetsAtTheFirstMessage) {
  SharedParts here, there;
  Communicator two(1, 2, [&](Rank rank) { return rank == 0 ? &here : &there; });
  EXPECT_EQ(two.from_to(0, 1).reserve(0, 0), nullptr);
  ASSERT_TRUE(two.send({0, 1, 0, 0}));
  ASSERT_TRUE(two.receive({0, 1, 0, 0}));
  EXPECT_FALSE(connections().empty());
  EXPECT_NE(two.from_to(1, 0).reserve(0, 0), nullptr) << "both ends have met, whoever began";
}

TEST(LibfabricPort, AFloodToASleepingReceiverStaysWithinItsRing) {
  constexpr std::uint32_t kMessages = 10'000;
  SharedParts here, there;
  Communicator two(1, 2, [&](Rank rank) { return rank == 0 ? &here : &there; });
  ASSERT_TRUE(two.send({0, 1, 0, 0}));
  const std::size_t resident = resident_bytes();
  std::uint32_t sent = 1;
  for (std::uint32_t tries = 0; tries < kMessages; ++tries) {
    std::byte* const slot = two.from_to(0, 1).reserve(0, 0);
    if (slot == nullptr) {
      two.transports[0]->poll();
      continue;
    }
    const Label label{0, 1, 0, sent++};
    fill(label, {slot, 64});
    two.from_to(0, 1).commit(0, 64, stamp_of(label));
  }
  EXPECT_EQ(sent, two.transports[0]->capabilities().slots);
  EXPECT_LT(resident_bytes(), resident + (std::size_t{2} << 20));
  for (std::uint32_t number = 0; number < kMessages; ++number) {
    if (number >= sent) {
      ASSERT_TRUE(two.send({0, 1, 0, number}));
    }
    ASSERT_TRUE(two.receive({0, 1, 0, number}));
  }
}

// The receiver leaves without reading; what flies then finds nobody, and not the next communicator.
TEST(LibfabricPort, LateBytesOfAnEndedCommunicatorMatchNothing) {
  SharedParts here, there;
  const auto parts = [&](Rank rank) { return rank == 0 ? &here : &there; };
  Communicator stays(1, 2, parts);
  ASSERT_TRUE(stays.send({0, 1, 0, 0, 1}));
  ASSERT_TRUE(stays.receive({0, 1, 0, 0, 1}));
  for (std::uint32_t round = 2; round < 6; ++round) {
    Communicator ends(round, 2, parts);
    ASSERT_TRUE(ends.send({0, 1, 0, 0, round}));
    ASSERT_TRUE(ends.receive({0, 1, 0, 0, round}));
    ASSERT_TRUE(ends.send({0, 1, 0, 1, round}));  // on its way
    std::thread leaving([&] { ends.end(1); });
    while (std::byte* const slot = ends.from_to(0, 1).reserve(0, 0)) {
      fill({0, 1, 0, 99, round}, {slot, 64});
      ends.from_to(0, 1).commit(0, 64, 99);
    }
    leaving.join();
    Communicator next(round + 100, 2, parts);
    for (std::uint32_t number = 0; number < 20; ++number) {
      ASSERT_TRUE(next.send({0, 1, 0, number, round + 100}));
      ASSERT_TRUE(next.receive({0, 1, 0, number, round + 100}));
    }
    ASSERT_TRUE(stays.send({0, 1, 0, round, 1}));
    ASSERT_TRUE(stays.receive({0, 1, 0, round, 1}));
    for (const auto& transport : stays.transports)
      EXPECT_TRUE(transport->status().ok()) << transport->status().c_str();
  }
}

// A peer that was told of places for its messages may still use them when nobody wants these any more. Some
// providers pass nothing on behind a message that matches no receive.
TEST(LibfabricPort, WhatComesForOneThatHasLeftHoldsUpNobody) {
  SharedParts here, there;
  const auto parts = [&](Rank rank) { return rank == 0 ? &here : &there; };
  Communicator stays(1, 2, parts);
  std::deque<std::vector<std::byte>> memory;
  std::deque<Completion> done;
  const auto piece = [&](std::size_t bytes) { return Bytes(memory.emplace_back(bytes)); };
  for (std::uint32_t round = 2; round < 5; ++round) {
    Communicator ends(round, 2, parts);
    ASSERT_TRUE(ends.exchange(0, round));
    Freight* const landing = ends.from_to(1, 0).capabilities().freight;
    Freight* const launch = ends.from_to(0, 1).capabilities().freight;
    const std::size_t bytes = 4 * ends.from_to(0, 1).capabilities().freight_from;
    if (landing != nullptr) {
      for (std::uint32_t number = 0; number < Freight::kWindow; ++number)
        landing->land(0, piece(bytes), done.emplace_back());
      ASSERT_TRUE(ends.wait([&] { return launch->ready(0); }));
    }
    ends.end(1);
    memory.clear();
    Endpoint& left = ends.from_to(0, 1);
    while (std::byte* const slot = left.reserve(0, 0)) {
      fill({0, 1, 0, 99, round}, {slot, 64});
      left.commit(0, 64, 99);
    }
    while (launch != nullptr && launch->ready(0)) launch->launch(0, piece(bytes), done.emplace_back());
    ASSERT_TRUE(stays.exchange(round, 1)) << "held up";
    for (const auto& transport : stays.transports)
      EXPECT_TRUE(transport->status().ok()) << transport->status().c_str();
  }
}

// A connection ends at bytes that mean nothing, some providers make another without a word, and a message
// that came after those bytes is lost.
TEST(LibfabricPort, AMessageThatIsLostIsTold) {
  SharedParts here, there;
  Communicator all(1, 2, [&](Rank rank) { return rank == 0 ? &here : &there; });
  ASSERT_TRUE(all.exchange(0, 1));
  ASSERT_FALSE(connections().empty());
  const std::vector<char> garbage(4096, '\xff');
  for (const int connection : connections())
    ASSERT_EQ(::send(connection, garbage.data(), garbage.size(), MSG_DONTWAIT), 4096);
  ASSERT_TRUE(all.send({0, 1, 0, 1, 1}));
  ASSERT_TRUE(
      all.wait([&] { return !all.transports[0]->status().ok() || !all.transports[1]->status().ok(); }));
  for (Rank rank = 0; rank < 2; ++rank) {
    const Status status = all.transports[static_cast<std::size_t>(rank)]->status();
    if (!status.ok()) {
      EXPECT_NE(status.message().find(fmt::format("rank {}", 1 - rank)), std::string::npos) << status.c_str();
    }
  }
}

// It is asked as often as it has places for questions; it answers when it wakes, and nothing is held to be
// lost.
TEST(LibfabricPort, APeerThatSleepsIsNotLost) {
  SharedParts here, there;
  Communicator two(1, 2, [&](Rank rank) { return rank == 0 ? &here : &there; });
  ASSERT_TRUE(two.exchange(0, 1));
  ASSERT_TRUE(two.send({0, 1, 0, 1, 1}));
  for (const auto end = Clock::now() + std::chrono::seconds(5); Clock::now() < end;) {
    two.transports[0]->poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_TRUE(two.receive({0, 1, 0, 1, 1}));
  for (std::uint32_t number = 2; number < 100; ++number) ASSERT_TRUE(two.exchange(number, 1));
  for (const auto& transport : two.transports)
    EXPECT_TRUE(transport->status().ok()) << transport->status().c_str();
}

// Whichever thread polls moves on the others' messages, and none keeps another out.
TEST(LibfabricPort, ThreadsDriveTheirCommunicatorsOverOneEndpoint) {
  constexpr int kThreads = 4;
  constexpr std::uint32_t kMessages = 500;
  SharedParts here;
  std::vector<std::unique_ptr<Communicator>> all;
  for (int thread = 0; thread < kThreads; ++thread)
    all.push_back(std::make_unique<Communicator>(static_cast<std::uint64_t>(thread + 1), 2,
                                                 [&](Rank) { return &here; }));
  EXPECT_EQ(listeners(), 1u);
  std::vector<std::thread> threads;
  for (std::uint32_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      for (std::uint32_t number = 0; number < kMessages; ++number) {
        ASSERT_TRUE(all[thread]->send({0, 1, 0, number, thread}));
        ASSERT_TRUE(all[thread]->send({1, 0, 0, number, thread}));
        ASSERT_TRUE(all[thread]->receive({0, 1, 0, number, thread}));
        ASSERT_TRUE(all[thread]->receive({1, 0, 0, number, thread}));
      }
      all[thread].reset();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(listeners(), 0u);
}

}  // namespace
}  // namespace hansa::test
