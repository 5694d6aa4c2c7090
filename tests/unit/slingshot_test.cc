// What this library does where Slingshot or InfiniBand is, from made-up hosts and environments.
#include "transports/libfabric/slingshot.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/environment.hpp"
#include "base/slingshot_settings.hpp"

namespace hansa::libfabric {
namespace {

using Gravity = Judgement::Gravity;
using Variables = std::map<std::string, std::string>;

const Variables kComplete = {{"SLINGSHOT_VNIS", "1024,1025"},
                             {"SLINGSHOT_SVC_IDS", "5,5"},
                             {"SLINGSHOT_DEVICES", "cxi0,cxi1"},
                             {"SLINGSHOT_TCS", "0xa"}};

Lookup in(const Variables& variables) {
  return [&variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class Sysfs : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hansa-sysfs-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void put(const std::string& path, const std::string& text = "") {
    const std::filesystem::path file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  FastNics find(const std::vector<std::string>& interfaces = {}) {
    return find_fast_nics(root_.string(), interfaces);
  }

 private:
  std::filesystem::path root_;
};

TEST_F(Sysfs, AnOrdinaryHostHasNothingFast) {
  const FastNics nics = find({"lo", "eth0", "docker0"});
  EXPECT_TRUE(nics.slingshot.empty() && nics.infiniband.empty());
}

TEST_F(Sysfs, SlingshotIsToldByItsInterfacesAndDevices) {
  put("class/cxi/cxi1/uevent");
  put("class/cxi/cxi0/uevent");
  EXPECT_EQ(find({"lo", "hsn0", "hsn1"}).slingshot,
            (std::vector<std::string>{"interface hsn0", "interface hsn1", "device cxi0", "device cxi1"}));
}

TEST_F(Sysfs, InfiniBandIsToldByAnActivePortOfIt) {
  put("class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE");
  put("class/infiniband/mlx5_0/ports/1/link_layer", "InfiniBand");
  put("class/infiniband/mlx5_1/ports/1/state", "1: DOWN");
  put("class/infiniband/mlx5_1/ports/1/link_layer", "InfiniBand");
  put("class/infiniband/rxe0/ports/1/state", "4: ACTIVE");
  put("class/infiniband/rxe0/ports/1/link_layer", "Ethernet");
  EXPECT_EQ(find().infiniband, std::vector<std::string>{"device mlx5_0"});
}

TEST(Slingshot, IsWhereTheHostOrTheLauncherOrTheUserSaysSo) {
  EXPECT_FALSE(is_slingshot({}, in({})));
  EXPECT_FALSE(is_slingshot({{}, {"device mlx5_0"}}, in({{"FI_PROVIDER", "tcp"}})));
  EXPECT_TRUE(is_slingshot({{"interface hsn0"}, {}}, in({})));
  EXPECT_TRUE(is_slingshot({}, in({{"SLINGSHOT_VNIS", "1024"}})));
  EXPECT_TRUE(is_slingshot({}, in({{"SLINGSHOT_DEVICES", "cxi0"}})));
  EXPECT_TRUE(is_slingshot({}, in({{"FI_PROVIDER", "cxi"}})));
}

// Who is on TCP, where, and what the user has said.
struct Case {
  const char* name;
  FastNics nics;
  Candidate candidate;
  Variables variables;
  Gravity gravity;
  std::vector<const char*> says;
};

const FastNics kSlingshot{{"interface hsn0"}, {}}, kInfiniband{{}, {"device mlx5_0"}},
    kBoth{{"device cxi0"}, {"device mlx5_0"}};

const Case kCases[] = {
    {"cxi on Slingshot", kSlingshot, {"cxi"}, {}, Gravity::kFine, {}},
    {"tcp on an ordinary host", {}, {"tcp"}, {}, Gravity::kFine, {}},
    {"verbs on InfiniBand", kInfiniband, {"verbs;ofi_rxm"}, {}, Gravity::kFine, {}},
    {"tcp on Slingshot",
     kSlingshot,
     {"tcp"},
     kComplete,
     Gravity::kRefused,
     {"Slingshot (interface hsn0)", "provider is tcp", "fi_info -p cxi", "FI_PROVIDER=tcp"}},
    {"and no virtual network",
     kSlingshot,
     {"tcp;ofi_rxm"},
     {},
     Gravity::kRefused,
     {"SLINGSHOT_VNIS is not set", "srun"}},
    {"Slingshot before InfiniBand", kBoth, {"sockets"}, kComplete, Gravity::kRefused, {"device cxi0"}},
    {"by FI_PROVIDER",
     kSlingshot,
     {"tcp"},
     {{"FI_PROVIDER", "tcp"}},
     Gravity::kTold,
     {"as FI_PROVIDER=tcp says"}},
    {"an empty FI_PROVIDER says nothing", kSlingshot, {"tcp"}, {{"FI_PROVIDER", ""}}, Gravity::kRefused, {}},
    {"nor does one that excludes", kSlingshot, {"tcp"}, {{"FI_PROVIDER", "^shm"}}, Gravity::kRefused, {}},
    {"nor one that would have cxi", kSlingshot, {"tcp"}, {{"FI_PROVIDER", "cxi,tcp"}}, Gravity::kRefused, {}},
    {"by name", kSlingshot, {"tcp", true}, {}, Gravity::kTold, {}},
    {"by HANSA_TRANSPORT",
     kSlingshot,
     {"tcp", false, "shm,libfabric"},
     {},
     Gravity::kWarned,
     {"HANSA_TRANSPORT=shm,libfabric", "many times slower"}},
    {"HANSA_TRANSPORT without it", kSlingshot, {"tcp", false, "shm"}, {}, Gravity::kRefused, {}},
    {"tcp on InfiniBand",
     kInfiniband,
     {"tcp"},
     {},
     Gravity::kWarned,
     {"InfiniBand (device mlx5_0)", "FI_PROVIDER=verbs"}},
    {"tcp on InfiniBand by FI_PROVIDER", kInfiniband, {"tcp"}, {{"FI_PROVIDER", "tcp"}}, Gravity::kTold, {}},
};

TEST(Slingshot, NobodyIsOnTcpUnawares) {
  for (const Case& one : kCases) {
    const Judgement judgement = judge(one.nics, one.candidate, in(one.variables));
    EXPECT_EQ(judgement.gravity, one.gravity) << one.name << ": " << judgement.text;
    EXPECT_EQ(judgement.text.empty(), one.gravity == Gravity::kFine) << one.name;
    for (const char* const part : one.says)
      EXPECT_TRUE(has(judgement.text, part)) << one.name << ": " << judgement.text;
  }
}

TEST(Slingshot, TheLaunchersVirtualNetworkIsAllThereOrTheRemedyIsNamed) {
  EXPECT_EQ(network_complaint(in(kComplete)), "");
  EXPECT_TRUE(has(network_complaint(in({})), "srun --network=single_node_vni"));
  for (const auto& [name, value] : kComplete) {
    Variables some = kComplete;
    some.erase(name);
    EXPECT_TRUE(has(network_complaint(in(some)), name + " not set")) << network_complaint(in(some));
    some[name] = "";
    EXPECT_TRUE(has(network_complaint(in(some)), name + " not set"));
  }
}

TEST(Slingshot, ATooSmallLimitIsNamed) {
  EXPECT_EQ(memlock_complaint(RLIM_INFINITY, false), "");
  EXPECT_EQ(memlock_complaint(std::uint64_t{256} << 20, false), "");
  EXPECT_EQ(memlock_complaint(65536, true), "") << "CAP_IPC_LOCK locks what it likes";
  const std::string text = memlock_complaint(std::uint64_t{8} << 20, false);
  EXPECT_TRUE(has(text, "8192 KiB") && has(text, "ulimit -l")) << text;
}

TEST(Slingshot, EachSettingHasAReasonAndASource) {
  std::set<std::string> names;
  for (const SlingshotSetting& one : slingshot_settings()) {
    EXPECT_TRUE(names.insert(one.name).second) << one.name;
    EXPECT_TRUE(*one.value && *one.why && *one.source) << one.name;
  }
}

TEST(Environment, IsSupplementedAndNothingOfItMoves) {
  ASSERT_EQ(setenv("HANSA_TEST_SET", "user", 1), 0);
  ASSERT_EQ(setenv("HANSA_TEST_EMPTY", "", 1), 0);
  ASSERT_EQ(unsetenv("HANSA_TEST_UNSET"), 0);
  const char* const before = getenv("HANSA_TEST_SET");
  const Assignment additions[] = {
      {"HANSA_TEST_SET", "ours"}, {"HANSA_TEST_EMPTY", "ours"}, {"HANSA_TEST_UNSET", "ours"}};
  supplement_environment(additions);
  EXPECT_EQ(getenv("HANSA_TEST_SET"), before);
  EXPECT_STREQ(getenv("HANSA_TEST_EMPTY"), "");
  const char* const added = getenv("HANSA_TEST_UNSET");
  EXPECT_STREQ(added, "ours");
  supplement_environment(additions);
  EXPECT_EQ(getenv("HANSA_TEST_UNSET"), added);
  ASSERT_EQ(setenv("HANSA_TEST_MORE", "later", 1), 0);  // the C library goes on from there
  EXPECT_STREQ(getenv("HANSA_TEST_UNSET"), "ours");
  EXPECT_STREQ(getenv("HANSA_TEST_MORE"), "later");
}

}  // namespace
}  // namespace hansa::libfabric
