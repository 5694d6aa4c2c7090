#include "transports/libfabric/libfabric.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "device/host/host_memory.hpp"
#include "tests/contract/test_provider.hpp"
#include "tests/contract/transport_contract.hpp"
#include "transports/libfabric/address.hpp"
#include "transports/libfabric/library.hpp"

namespace hansa::test {
namespace {

Result<std::unique_ptr<Transport>> open_plain(const TransportOptions& options) {
  return open_libfabric(options, kLibfabricSlots, test_provider());
}
// Two slots of one line: every message wraps or waits for credit.
Result<std::unique_ptr<Transport>> open_small(const TransportOptions& options) {
  return open_libfabric(options, {64, 2}, test_provider());
}
// Slots beyond what the provider sends eagerly: by its rendezvous, whose messages may complete out of order.
Result<std::unique_ptr<Transport>> open_rendezvous(const TransportOptions& options) {
  return open_libfabric(options, {64 * 1024, 4}, test_provider());
}

// All communicators and ranks of a process by one endpoint.
Result<std::unique_ptr<Transport>> open_shared(const TransportOptions& options) {
  static SharedParts parts;
  TransportOptions sharing = options;
  sharing.shared = &parts;
  return open_libfabric(sharing, kLibfabricSlots, test_provider());
}

std::unique_ptr<Memory> host_memory() { return std::make_unique<HostMemory>(); }

// Says what it runs over. A named provider that this library does not have is no failure.
class ProviderIsThere : public testing::Environment {
  void SetUp() override {
    const auto library = libfabric::Library::load();
    ASSERT_TRUE(library.ok()) << library.status().c_str();
    const std::uint32_t version = library.value()->version();
    std::printf("libfabric %u.%u\n", FI_MAJOR(version), FI_MINOR(version));
    if (test_provider().empty()) return;
    const Status status = open_plain({.communicator = 3}).status();
    if (status.code() != Code::kUnsupported) return;
    std::printf("[  SKIPPED ] %s\n", status.c_str());
    GTEST_SKIP();
  }
};
const auto* const kProviderIsThere = testing::AddGlobalTestEnvironment(new ProviderIsThere);

INSTANTIATE_TEST_SUITE_P(Libfabric, TransportContract,
                         testing::Values(TransportCase{"Threads", RunAs::kThreads, open_plain},
                                         TransportCase{"Small", RunAs::kThreads, open_small},
                                         TransportCase{"Rendezvous", RunAs::kThreads, open_rendezvous},
                                         TransportCase{"Shared", RunAs::kThreads, open_shared},
                                         TransportCase{"OwnMemory", RunAs::kThreads, open_shared,
                                                       host_memory},
                                         TransportCase{"Processes", RunAs::kProcesses, open_plain}),
                         case_name);

std::unique_ptr<Transport> open_alone(std::string_view interface = {}) {
  auto opened = open_libfabric({.communicator = 3, .interface = interface});
  EXPECT_TRUE(opened.ok()) << opened.status().c_str();
  return opened.ok() ? std::move(opened).value() : nullptr;
}

// Inodes of the sockets that this process holds.
std::set<std::string> own_sockets() {
  std::set<std::string> inodes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat about {};
    if (stat(entry.path().c_str(), &about) == 0 && S_ISSOCK(about.st_mode))
      inodes.insert(std::to_string(about.st_ino));
  }
  return inodes;
}

// Local addresses, as the kernel writes them in hexadecimal, on which this process listens.
std::vector<std::string> own_listeners() {
  std::vector<std::string> found;
  const std::set<std::string> sockets = own_sockets();
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
      words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
      if (state == "0A" && sockets.contains(inode)) found.push_back(local.substr(0, local.find(':')));
    }
  }
  return found;
}

// A message of a rank to itself.
bool echo(Transport& transport, Endpoint& self) {
  std::byte* slot = nullptr;
  for (int tries = 0; tries < 10'000'000 && (slot = self.reserve(0, 0)) == nullptr; ++tries) transport.poll();
  if (slot == nullptr) return false;
  fill({}, {slot, 8});
  self.commit(0, 8, stamp_of({}));
  Arrival arrival;
  for (int tries = 0; tries < 10'000'000 && (arrival = self.peek(0, 0)).data == nullptr; ++tries)
    transport.poll();
  const bool good = arrival.data != nullptr && check(arrival, {}, 8);
  if (arrival.data != nullptr) self.release(0);
  return good;
}

}  // namespace

TEST(LibfabricTransport, ListensOnTheChosenInterfaceOnly) {
  char loopback[9];
  std::snprintf(loopback, sizeof loopback, "%08X", inet_addr("127.0.0.1"));
  for (const char* interface : {"", "lo", "127.0.0.1"}) {
    const auto transport = open_alone(interface);
    ASSERT_NE(transport, nullptr);
    EXPECT_EQ(own_listeners(), std::vector<std::string>{loopback}) << "asked for '" << interface << "'";
  }
  EXPECT_TRUE(own_listeners().empty());
}

TEST(LibfabricTransport, NamesAnInterfaceThatIsNotThere) {
  const auto opened = open_libfabric({.interface = "nosuch0"});
  EXPECT_EQ(opened.status().code(), Code::kUnsupported);
  EXPECT_NE(opened.status().message().find("nosuch0"), std::string_view::npos) << opened.status().c_str();
  EXPECT_NE(opened.status().message().find("lo (127.0.0.1)"), std::string_view::npos)
      << opened.status().c_str();
}

TEST(LibfabricTransport, RefusesMoreLanesThanItsTagsName) {
  EXPECT_TRUE(open_libfabric({.lanes = 15}).ok());
  EXPECT_EQ(open_libfabric({.lanes = 16}).status().code(), Code::kInvalidArgument);
}

TEST(LibfabricTransport, DoesNotReachTheLoopbackOfAnotherHost) {
  const auto transport = open_alone();
  ASSERT_NE(transport, nullptr);
  auto address = libfabric::Address::decode(transport->address());
  ASSERT_TRUE(address.ok());
  address.value().loopback ^= 2;
  EXPECT_EQ(transport->connect(0, address.value().encode()).status().code(), Code::kUnsupported);
  address.value().loopback ^= 2;
  EXPECT_TRUE(transport->connect(0, address.value().encode()).ok());
}

TEST(LibfabricTransport, RefusesAPeerWithOtherOptions) {
  const auto transport = open_alone();
  ASSERT_NE(transport, nullptr);
  const auto other = open_libfabric({.communicator = 4});
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(transport->connect(0, other.value()->address()).status().code(), Code::kInvalidUsage);
}

TEST(LibfabricTransport, NamesTheLimitThatKeepsPeersFromConnecting) {
  const auto transport = open_alone();
  ASSERT_NE(transport, nullptr);
  auto address = libfabric::Address::decode(transport->address());
  ASSERT_TRUE(address.ok());
  const std::uint32_t ours = std::exchange(address.value().eager_limit, 12345);
  const Status refused = transport->connect(0, address.value().encode()).status();
  EXPECT_EQ(refused.code(), Code::kInvalidUsage);
  const std::string words = fmt::format("FI_OFI_RXM_EAGER_LIMIT=12345, this rank {}", ours);
  EXPECT_NE(refused.message().find(words), std::string_view::npos) << refused.c_str();
}

TEST(LibfabricTransport, AForkedChildClosesNothingOfItsParents) {
  auto transport = open_alone();
  ASSERT_NE(transport, nullptr);
  auto self = transport->connect(0, transport->address());
  ASSERT_TRUE(self.ok()) << self.status().c_str();
  ASSERT_TRUE(echo(*transport, *self.value()));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    self.value().reset();
    transport.reset();
    _exit(0);
  }
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  EXPECT_EQ(how, 0);
  EXPECT_TRUE(echo(*transport, *self.value()));
  EXPECT_TRUE(transport->status().ok()) << transport->status().c_str();
}

}  // namespace hansa::test
