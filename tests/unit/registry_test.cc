// What the registry of libfabric's transport keeps registered, over a provider that only counts.
#include "transports/libfabric/registry.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "device/host/host_memory.hpp"

namespace hansa::test {
namespace {

using libfabric::Owned;
using libfabric::Registry;
using Berth = Registry::Berth;
using Way = Registry::Way;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kPad = Registry::kLeastPad;

// A provider that locks no more than so much.
struct Provider {
  struct Region : fid_mr {
    Provider* provider = nullptr;
    std::size_t bytes = 0;
  };
  std::size_t lockable = SIZE_MAX, locked = 0;
  int made = 0, open = 0;

  Result<Owned<fid_mr>> enroll(Bytes memory) {
    if (memory.size() > lockable - locked) return Status(Code::kSystem, "no room");
    static fi_ops calls{};
    calls.close = [](fid* object) {
      auto* const region = static_cast<Region*>(reinterpret_cast<fid_mr*>(object));
      region->provider->locked -= region->bytes;
      --region->provider->open;
      delete region;
      return 0;
    };
    auto* const region = new Region;
    region->fid.ops = &calls;
    region->provider = this;
    region->bytes = memory.size();
    locked += memory.size();
    ++made;
    ++open;
    return Owned<fid_mr>(region);
  }
};

class RegistryTest : public testing::Test {
 protected:
  Registry::Enroll enroll() {
    return [this](Bytes memory) { return provider_.enroll(memory); };
  }
  Bytes own(std::size_t bytes) { return {memory_.allocate(bytes).value(), bytes}; }
  static Berth take(Registry& registry, Bytes message, const Memory* owner, Way way = Way::kLeaves) {
    auto berth = registry.take(message, owner, way);
    EXPECT_TRUE(berth.ok()) << berth.status().c_str();
    return berth.ok() ? berth.value() : Berth{};
  }
  // A message that has come and gone: whether it was copied.
  bool copies(Registry& registry, Bytes message) {
    Berth berth = take(registry, message, &memory_);
    EXPECT_TRUE(berth.taken);
    EXPECT_NE(berth.region, nullptr);
    EXPECT_EQ(berth.memory.data() != message.data(), berth.pad);
    EXPECT_EQ(berth.memory.size(), message.size());
    const bool pad = berth.pad;
    registry.give_back(berth);
    EXPECT_FALSE(berth.taken);
    return pad;
  }

  Provider provider_;
  HostMemory memory_;
};

TEST_F(RegistryTest, LeavesMessagesWhereTheyAreIfTheProviderAsksForNothing) {
  Registry registry{Registry::Enroll()};
  std::vector<std::byte> bytes(100);
  Berth berth = take(registry, bytes, nullptr);
  EXPECT_TRUE(berth.taken);
  EXPECT_EQ(berth.memory.data(), bytes.data());
  EXPECT_EQ(berth.region, nullptr);
  registry.give_back(berth);
  EXPECT_EQ(registry.enroll(bytes).value(), nullptr);
}

TEST_F(RegistryTest, RegistersAnAllocationOnceForAllItsMessages) {
  Registry registry(enroll());
  const Bytes memory = own(kMiB);
  Berth first = take(registry, memory.first(100), &memory_);
  Berth second = take(registry, memory.subspan(5000, 70'000), &memory_, Way::kLands);
  EXPECT_EQ(first.region, second.region);
  EXPECT_EQ(second.memory.data(), memory.data() + 5000);
  EXPECT_FALSE(second.pad);
  registry.give_back(first);
  registry.give_back(second);
  EXPECT_FALSE(copies(registry, memory));
  EXPECT_EQ(provider_.made, 1);
  EXPECT_EQ(provider_.locked, kMiB);
}

TEST_F(RegistryTest, KeepsWhatWasUsedLastWithinItsBound) {
  Registry registry(enroll(), 3 * kMiB);
  std::array<Bytes, 4> memory;
  for (Bytes& one : memory) one = own(kMiB);
  for (const int one : {0, 1, 2, 0, 3}) EXPECT_FALSE(copies(registry, memory[one]));
  EXPECT_EQ(provider_.open, 3);
  EXPECT_EQ(provider_.made, 4);
  for (const int one : {0, 2, 3}) EXPECT_FALSE(copies(registry, memory[one]));
  EXPECT_EQ(provider_.made, 4) << "these were kept";
  EXPECT_FALSE(copies(registry, memory[1]));
  EXPECT_EQ(provider_.made, 5) << "this was not";
}

TEST_F(RegistryTest, KeepsWhatMessagesUseAndCopiesWhatThenFindsNoRoom) {
  Registry registry(enroll(), 2 * kMiB);
  std::array<Bytes, 3> memory;
  for (Bytes& one : memory) one = own(kMiB);
  Berth first = take(registry, memory[0], &memory_), second = take(registry, memory[1], &memory_);
  EXPECT_TRUE(copies(registry, memory[2]));
  registry.give_back(second);
  EXPECT_FALSE(copies(registry, memory[2])) << "the second has gone for it";
  EXPECT_FALSE(copies(registry, memory[0]));
  EXPECT_EQ(provider_.made, 4) << "two, a pad and the third";
  registry.give_back(first);
  EXPECT_TRUE(copies(registry, own(3 * kMiB))) << "more than the bound";
}

TEST_F(RegistryTest, MakesRoomWhereTheProviderHasNone) {
  provider_.lockable = 2 * kMiB;
  Registry registry(enroll());
  const Bytes first = own(kMiB), second = own(kMiB), third = own(kMiB);
  for (const Bytes& memory : {first, second, first, third, first}) EXPECT_FALSE(copies(registry, memory));
  EXPECT_EQ(provider_.made, 3) << "the second made room for the third";
  auto slots = registry.enroll(own(2 * kMiB));
  EXPECT_TRUE(slots.ok()) << "others come first: " << slots.status().c_str();
  EXPECT_EQ(provider_.open, 1);
}

TEST_F(RegistryTest, CopiesAnAllocationThatTheProviderRefusesAndAsksOnce) {
  provider_.lockable = 2 * kMiB;
  Registry registry(enroll());
  const Bytes large = own(3 * kMiB), small = own(kMiB);
  EXPECT_TRUE(copies(registry, large.first(kPad)));
  EXPECT_FALSE(copies(registry, small));
  EXPECT_TRUE(copies(registry, large.first(1000)));
  EXPECT_FALSE(copies(registry, small));
  EXPECT_EQ(provider_.made, 2) << "another try would have driven out the small one";
}

TEST_F(RegistryTest, LetsGoOfFreedAllocations) {
  Registry registry(enroll());
  const Bytes first = own(kMiB);
  EXPECT_FALSE(copies(registry, first));
  ASSERT_TRUE(memory_.free(first.data()).ok());
  const Bytes second = own(kMiB);  // at the same address, most likely
  EXPECT_FALSE(copies(registry, second));
  EXPECT_EQ(provider_.made, 2);
  EXPECT_EQ(provider_.open, 1);
  Berth used = take(registry, second, &memory_);
  ASSERT_TRUE(memory_.free(second.data()).ok());
  EXPECT_FALSE(copies(registry, own(kMiB)));
  EXPECT_EQ(provider_.open, 2) << "a message is still in it";
  registry.give_back(used);
  EXPECT_FALSE(copies(registry, own(kMiB)));
  EXPECT_EQ(provider_.open, 2);
}

TEST_F(RegistryTest, CopiesOtherMemoryByPadsThatItUsesAgain) {
  Registry registry(enroll());
  std::vector<std::byte> bytes(kPad + 1);
  Berth first = take(registry, std::span(bytes).first(1000), &memory_);
  EXPECT_TRUE(first.pad);
  EXPECT_NE(first.memory.data(), bytes.data());
  Berth second = take(registry, std::span(bytes).first(1000), nullptr);
  EXPECT_NE(second.memory.data(), first.memory.data());
  EXPECT_EQ(provider_.made, 2);
  const std::byte* const pad = first.memory.data();
  registry.give_back(first);
  first = take(registry, std::span(bytes).first(kPad), &memory_);
  EXPECT_EQ(first.memory.data(), pad);
  registry.give_back(first);
  Berth nothing = take(registry, {}, &memory_);
  EXPECT_TRUE(nothing.taken && nothing.pad && nothing.memory.empty());
  registry.give_back(nothing);
  EXPECT_EQ(provider_.made, 2);
  EXPECT_TRUE(copies(registry, bytes)) << "longer than the others";
  EXPECT_EQ(provider_.made, 3);
  registry.give_back(second);
}

TEST_F(RegistryTest, LaunchesHaveAPadWhateverLandingsHold) {
  provider_.lockable = 3 * kPad;
  Registry registry(enroll());
  std::vector<std::byte> bytes(kPad);
  std::array<Berth, 3> landings;
  for (Berth& landing : landings) landing = take(registry, bytes, nullptr, Way::kLands);
  EXPECT_TRUE(landings[0].taken && landings[1].taken);
  EXPECT_FALSE(landings[2].taken) << "it waits";
  Berth launch = take(registry, bytes, nullptr);
  EXPECT_TRUE(launch.taken);
  EXPECT_FALSE(take(registry, bytes, nullptr).taken);
  registry.give_back(launch);
  EXPECT_TRUE(take(registry, bytes, nullptr).taken);
  registry.give_back(landings[1]);
  EXPECT_TRUE(take(registry, bytes, nullptr, Way::kLands).taken);
}

TEST_F(RegistryTest, NamesTheLimitWhereNoPadWillEverBeHad) {
  provider_.lockable = kPad / 2;
  Registry registry(enroll());
  std::vector<std::byte> bytes(100);
  for (const Way way : {Way::kLands, Way::kLeaves}) {
    const Status status = Registry(enroll()).take(bytes, nullptr, way).status();
    EXPECT_EQ(status.code(), Code::kSystem);
    for (const char* part : {"no room", "RLIMIT_MEMLOCK", "ulimit -l"})
      EXPECT_NE(status.message().find(part), std::string_view::npos) << part << " in: " << status.c_str();
  }
}

TEST_F(RegistryTest, ClosesAllItsRegionsWhenToldTo) {
  Registry registry(enroll());
  std::vector<std::byte> bytes(100);
  Berth pad = take(registry, bytes, nullptr, Way::kLands), known = take(registry, own(kMiB), &memory_);
  EXPECT_EQ(provider_.open, 3);
  registry.close();
  EXPECT_EQ(provider_.open, 0);
  registry.give_back(pad);
  registry.give_back(known);
}

}  // namespace
}  // namespace hansa::test
