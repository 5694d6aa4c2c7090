// The depot of a workspace: where it is, and what happens where there is none to be had.
#include "executor/workspace.hpp"

#include <gtest/gtest.h>

#include "device/host/host_memory.hpp"

namespace hansa::test {
namespace {

class ScarceMemory final : public Memory {
 public:
  explicit ScarceMemory(std::size_t most) : most_(most) {}
  Result<std::byte*> allocate(std::size_t bytes) override {
    ++asked;
    if (bytes > most_) return Status(Code::kSystem, "there is no more");
    return memory_.allocate(bytes);
  }
  Status free(void* address) override { return memory_.free(address); }
  Status leave(void* address) override {
    ++left;
    return memory_.leave(address);
  }
  std::optional<Allocation> identify(const void* address, std::size_t bytes) const override {
    return memory_.identify(address, bytes);
  }
  Result<int> duplicate(std::uint64_t id) const override { return memory_.duplicate(id); }

  int asked = 0, left = 0;

 private:
  HostMemory memory_;
  std::size_t most_;
};

TEST(Depot, StaysUntilMoreIsNeeded) {
  ScarceMemory memory(1 << 20);
  {
    Workspace workspace(&memory);
    std::byte* const first = workspace.depot(4096);
    ASSERT_NE(first, nullptr);
    EXPECT_TRUE(memory.identify(first, 4096).has_value());
    EXPECT_EQ(workspace.depot(100), first);
    EXPECT_EQ(memory.asked, 1);
    EXPECT_NE(workspace.depot(8192), nullptr);
    EXPECT_EQ(memory.asked, 2);
    EXPECT_EQ(memory.left, 1);
    EXPECT_GE(workspace.bytes(), 8192u);
  }
  EXPECT_EQ(memory.left, 2);
}

TEST(Depot, IsNotAskedForAgainWhereItWasRefused) {
  ScarceMemory memory(4096);
  Workspace workspace(&memory);
  std::byte* const small = workspace.depot(4096);
  ASSERT_NE(small, nullptr);
  for (int call = 0; call < 3; ++call) EXPECT_EQ(workspace.depot(8192), nullptr);
  EXPECT_EQ(memory.asked, 2);
  EXPECT_EQ(workspace.depot(4096), small);
}

TEST(Depot, IsNoneWithoutMemory) { EXPECT_EQ(Workspace().depot(1), nullptr); }

}  // namespace
}  // namespace hansa::test
