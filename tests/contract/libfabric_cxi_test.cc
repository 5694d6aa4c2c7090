// How the libfabric transport takes what cxi tells it: its name, its short queues, its errors.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "hansa/transport.hpp"
#include "transports/libfabric/address.hpp"
#include "transports/libfabric/libfabric.hpp"

namespace hansa::test {
namespace {

// From here on it is what "libfabric.so.1" means to this process.
class CxiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_NE(dlopen(CXI_RULES_PATH, RTLD_NOW | RTLD_LOCAL), nullptr) << dlerror();
    setenv("CXI_RULES_ABORT", "1", 1);
  }
  void set(const char* name, const char* value) {
    setenv(name, value, 1);
    names_.push_back(name);
  }
  void TearDown() override {
    for (const char* name : names_) unsetenv(name);
  }

 private:
  std::vector<const char*> names_;
};

TEST_F(CxiTest, IsPreferredToSockets) {
  const auto opened = open_libfabric({.communicator = 3});
  ASSERT_TRUE(opened.ok()) << opened.status().c_str();
  const auto address = libfabric::Address::decode(opened.value()->address());
  ASSERT_TRUE(address.ok()) << address.status().c_str();
  EXPECT_EQ(address.value().provider, libfabric::provider_identity("cxi"));
  EXPECT_EQ(address.value().loopback, 0u) << "a fabric reaches other hosts";
  EXPECT_EQ(address.value().name.size(), 8u);
}

TEST_F(CxiTest, TakesTheNicThatTheInterfaceNamesAndElseTheFirst) {
  for (const char* interface : {"cxi0", "lo", ""})
    EXPECT_TRUE(open_libfabric({.interface = interface}).ok()) << interface;
}

TEST_F(CxiTest, RefusesAPeerOfAnotherProvider) {
  const auto opened = open_libfabric({.communicator = 3});
  ASSERT_TRUE(opened.ok()) << opened.status().c_str();
  auto address = libfabric::Address::decode(opened.value()->address());
  address.value().provider = libfabric::provider_identity("tcp;ofi_rxm");
  EXPECT_EQ(opened.value()->connect(0, address.value().encode()).status().code(), Code::kInvalidUsage);
}

TEST_F(CxiTest, ShortQueuesMakeFewerSlots) {
  set("CXI_RULES_QUEUE", "22");
  const auto some = open_libfabric({.ranks = 2});
  ASSERT_TRUE(some.ok()) << some.status().c_str();
  EXPECT_EQ(some.value()->capabilities().slots, 4u);
  // For what all ranks might have with each other there is none, but few ever do.
  const Status none = open_libfabric({.ranks = 5}).status();
  EXPECT_EQ(none.code(), Code::kUnsupported);
  EXPECT_NE(none.message().find("35 posted receives"), std::string_view::npos) << none.c_str();
}

TEST_F(CxiTest, WhoFindsNoRoomOnAnEndpointHasAnother) {
  for (const bool room : {true, false}) {
    set("CXI_RULES_QUEUE", room ? "192" : "64");
    SharedParts parts;
    std::vector<std::unique_ptr<Transport>> opened;
    std::vector<libfabric::Address> addresses;
    for (std::uint64_t number = 1; number <= 3; ++number) {
      auto one = open_libfabric({.ranks = 2, .communicator = number, .shared = &parts});
      ASSERT_TRUE(one.ok()) << one.status().c_str();
      EXPECT_EQ(one.value()->capabilities().slots, 8u);
      addresses.push_back(libfabric::Address::decode(one.value()->address()).value());
      opened.push_back(std::move(one).value());
    }
    EXPECT_EQ(addresses[0].name == addresses[1].name, room);
    EXPECT_EQ(addresses[0].port == addresses[1].port, room);
    if (room) {
      EXPECT_NE(addresses[0].number, addresses[1].number) << "who share a port have numbers of their own";
    }
  }
}

TEST_F(CxiTest, AFailedMessageIsToldWithPeerAndProvidersWords) {
  set("CXI_RULES_FAIL", "1");
  auto opened = open_libfabric({.communicator = 3});
  ASSERT_TRUE(opened.ok()) << opened.status().c_str();
  Transport& transport = *opened.value();
  auto self = transport.connect(0, transport.address());
  ASSERT_TRUE(self.ok()) << self.status().c_str();
  EXPECT_EQ(self.value()->reserve(0, 0), nullptr) << "the two ends have not met";
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (transport.status().ok() && std::chrono::steady_clock::now() < end) transport.poll();
  const Status status = transport.status();
  EXPECT_EQ(status.code(), Code::kRemote);
  for (const char* part : {"libfabric", "rank 0", "No route to host", "provider error 113"})
    EXPECT_NE(status.message().find(part), std::string_view::npos) << part << " in: " << status.c_str();
}

// A rank's long messages to itself, in memory that nobody knows, as many at a time as may be; how many have
// come, whole, when all have or the transport has failed.
struct Carried {
  std::size_t whole = 0;
  Status status;
};
Carried carry_freight() {
  constexpr std::size_t kBytes = 40'000;
  auto opened = open_libfabric({.communicator = 3});
  if (!opened.ok()) return {0, opened.status()};
  Transport& transport = *opened.value();
  auto self = transport.connect(0, transport.address());
  if (!self.ok()) return {0, self.status()};
  Freight& freight = *self.value()->capabilities().freight;
  std::array<std::vector<std::byte>, Freight::kWindow> from, into;
  std::array<Completion, Freight::kWindow> left, landed;
  for (std::uint32_t number = 0; number < Freight::kWindow; ++number) {
    from[number].assign(kBytes, static_cast<std::byte>(number + 1));
    into[number].resize(kBytes);
    freight.land(0, into[number], landed[number]);
  }
  const auto done = [&] {
    return std::all_of(landed.begin(), landed.end(),
                       [](const Completion& one) { return one.state == Completion::State::kDone; });
  };
  std::uint32_t launched = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done() && transport.status().ok() && std::chrono::steady_clock::now() < end) {
    if (launched < Freight::kWindow && freight.ready(0)) {
      freight.launch(0, from[launched], left[launched]);
      ++launched;
    }
    transport.poll();
  }
  std::size_t whole = 0;
  for (std::uint32_t number = 0; number < Freight::kWindow; ++number) whole += from[number] == into[number];
  return {whole, transport.status()};
}

TEST_F(CxiTest, LongMessagesWaitForEachOtherWhereLittleMayBeLocked) {
  set("CXI_RULES_LOCAL", "1");
  set("CXI_RULES_LOCKABLE", "400000");  // slots and two pads
  const Carried carried = carry_freight();
  EXPECT_EQ(carried.whole, Freight::kWindow);
  EXPECT_TRUE(carried.status.ok()) << carried.status.c_str();
}

TEST_F(CxiTest, NamesTheLimitWhereNoLongMessageMayBeLocked) {
  set("CXI_RULES_LOCAL", "1");
  set("CXI_RULES_LOCKABLE", "300000");  // slots
  const auto [whole, status] = carry_freight();
  EXPECT_EQ(whole, 0u);
  EXPECT_EQ(status.code(), Code::kSystem);
  for (const char* part : {"rank 0", "fi_mr_reg", "RLIMIT_MEMLOCK", "ulimit -l"})
    EXPECT_NE(status.message().find(part), std::string_view::npos) << part << " in: " << status.c_str();
}

}  // namespace
}  // namespace hansa::test
