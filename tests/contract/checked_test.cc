// The contract over transports with checksums; then one message damaged in every way there is, which must
// never arrive.
#include "transports/checked/checked.hpp"

#include "device/host/host_memory.hpp"
#include "tests/contract/transport_contract.hpp"
#include "tests/support/damaging_transport.hpp"
#include "tests/support/delaying_transport.hpp"
#include "transports/inproc/inproc.hpp"
#include "transports/shm/shm.hpp"

namespace hansa::test {
namespace {

std::vector<std::string> names(Rank ranks) {
  std::vector<std::string> all;
  for (Rank rank = 0; rank < ranks; ++rank) all.push_back("rank " + std::to_string(rank));
  return all;
}

Result<std::unique_ptr<Transport>> over(Result<std::unique_ptr<Transport>> inner,
                                        const TransportOptions& options) {
  HANSA_RETURN_IF_ERROR(inner.status());
  return checked_transport(std::move(inner).value(), options, names(options.ranks));
}
Result<std::unique_ptr<Transport>> over_inproc(const TransportOptions& options) {
  return over(open_inproc(options, {256, 4}), options);
}
Result<std::unique_ptr<Transport>> over_shm(const TransportOptions& options) {
  return over(open_shm(options, shm_slots(options.ranks, options.lanes)), options);
}
Result<std::unique_ptr<Transport>> over_delayed(const TransportOptions& options) {
  HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(options, {256, 4}));
  return over(
      delaying_transport(std::move(inner), options.lanes, static_cast<std::uint64_t>(options.rank) + 5),
      options);
}
std::unique_ptr<Memory> memory() { return std::make_unique<HostMemory>(); }

INSTANTIATE_TEST_SUITE_P(Checked, TransportContract,
                         testing::Values(TransportCase{"Inproc", RunAs::kThreads, over_inproc, memory},
                                         TransportCase{"Shm", RunAs::kProcesses, over_shm, memory},
                                         TransportCase{"Delayed", RunAs::kThreads, over_delayed, memory}),
                         case_name);

TEST(Checked, NeedsRoom) {
  const TransportOptions alone;
  EXPECT_EQ(Code::kUnsupported, over(open_inproc(alone, {64, 2}), alone).status().code());
}

// A rank talks to itself over a transport that damages its third message, of so many bytes.
struct Trip {
  explicit Trip(const Damage& damage, std::size_t bytes) {
    TransportOptions options;
    auto inner = open_inproc(options, {512, 8});
    transport =
        checked_transport(damaging_transport(std::move(inner).value(), damage), options, names(1)).value();
    auto connected = transport->connect(0, transport->address());
    Endpoint& endpoint = *connected.value();
    for (std::uint32_t number = 0; number < 4; ++number) {
      fill({0, 0, 0, number}, {endpoint.reserve(0, 0), bytes});
      endpoint.commit(0, static_cast<std::uint32_t>(bytes), number);
    }
    Arrival arrival;
    for (; (arrival = endpoint.peek(0, 0)).data != nullptr; ++arrived) {
      const auto sent = content({0, 0, 0, arrived}, bytes);
      whole = whole && arrival.bytes == bytes && arrival.stamp == arrived &&
              std::equal(sent.begin(), sent.end(), arrival.data);
      endpoint.release(0);
    }
  }
  std::unique_ptr<Transport> transport;
  std::uint32_t arrived = 0;
  bool whole = true;  // all that arrived
};

void expect_found(const Damage& damage, std::size_t bytes) {
  const Trip trip(damage, bytes);
  EXPECT_TRUE(trip.whole);
  EXPECT_EQ(damage.message, trip.arrived);
  const Status status = trip.transport->status();
  EXPECT_EQ(Code::kDamaged, status.code());
  for (const char* word :
       {"between rank 0 and rank 0", "over inproc", "message 2 of lane 0", " bytes in its slot"})
    EXPECT_NE(std::string_view::npos, status.message().find(word)) << status.message();
}

TEST(Checked, LetsWholeMessagesThrough) {
  const Trip trip({Damage::Kind::kBit, 99, 0}, 100);
  EXPECT_TRUE(trip.whole);
  EXPECT_EQ(4u, trip.arrived);
  EXPECT_TRUE(trip.transport->status().ok());
}

TEST(Checked, FindsAnyBit) {
  for (const std::size_t bytes : {0, 1, 7, 16, 100, 448}) {
    const std::size_t sent = (bytes + 15) / 16 * 16 + 16;
    for (std::size_t bit = 0; bit < 8 * sent; ++bit) {
      const bool padding = bit / 8 >= bytes && bit / 8 < sent - 16;
      if (!padding) expect_found({Damage::Kind::kBit, 2, bit}, bytes);
    }
  }
}

TEST(Checked, FindsOtherDamage) {
  for (std::size_t bit = 0; bit < 32; ++bit) expect_found({Damage::Kind::kStamp, 2, bit}, 100);
  expect_found({Damage::Kind::kShorter, 2, 0}, 100);
  expect_found({Damage::Kind::kRepeated, 2, 0}, 100);
}

}  // namespace
}  // namespace hansa::test
