// Settings by name, and what is left of the device header.
#include <dlfcn.h>

#include <set>
#include <string_view>

#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

TEST(Params, AreTheSettings) {
  setenv("HANSA_PORT_RANGE", "28000-31999", 1);
  setenv("HANSA_LATE_REPORT", "300", 1);
  setenv("HANSA_SECRET", "nobody shall see this", 1);
  ncclParamHandle_t late = nullptr, ports = nullptr, secret = nullptr, none = nullptr;
  ASSERT_DONE(ncclParamBind(&late, "HANSA_LATE_REPORT"));
  ASSERT_DONE(ncclParamBind(&ports, "HANSA_PORT_RANGE"));
  ASSERT_DONE(ncclParamBind(&secret, "HANSA_SECRET"));
  EXPECT_REFUSED(ncclInvalidArgument, ncclParamBind(&none, "HANSA_LATE_REPORTS"));
  EXPECT_EQ(nullptr, none);
  std::int16_t small = 0;
  std::int64_t large = 0;
  std::uint8_t byte = 7;
  EXPECT_DONE(ncclParamGetI16(late, &small));
  EXPECT_DONE(ncclParamGetI64(late, &large));
  EXPECT_EQ(300, small);
  EXPECT_EQ(300, large);
  EXPECT_REFUSED(ncclInvalidUsage, ncclParamGetU8(late, &byte));  // does not fit
  EXPECT_EQ(7, byte);
  EXPECT_REFUSED(ncclInvalidUsage, ncclParamGetI64(ports, &large));
  EXPECT_REFUSED(ncclInvalidArgument, ncclParamGetI64(nullptr, &large));
  EXPECT_REFUSED(ncclInvalidArgument, ncclParamGetI64(late, nullptr));
  const char* text = nullptr;
  EXPECT_DONE(ncclParamGetStr(ports, &text));
  EXPECT_STREQ("28000-31999", text);
  EXPECT_DONE(ncclParamGetStr(secret, &text));
  EXPECT_EQ(std::string_view::npos, std::string_view(text).find("nobody"));
  char bytes[16];
  int length = 0;
  EXPECT_REFUSED(ncclInvalidUsage, ncclParamGet(ports, bytes, 10, &length));
  EXPECT_DONE(ncclParamGet(ports, bytes, 11, &length));
  EXPECT_EQ("28000-31999", std::string(bytes, static_cast<std::size_t>(length)));
  EXPECT_DONE(ncclParamGetParameter("HANSA_LATE_REPORT", &text, &length));
  EXPECT_STREQ("300", text);
  EXPECT_EQ(3, length);
  const char** names = nullptr;
  ASSERT_DONE(ncclParamGetAllParameterKeys(&names, &length));
  const std::set<std::string> all(names, names + length);
  EXPECT_TRUE(all.count("HANSA_TRANSPORT") == 1 && all.count("NCCL_DEBUG") == 1);
  EXPECT_EQ(static_cast<std::size_t>(length), all.size());
  testing::internal::CaptureStdout();
  ncclParamDumpAll();
  const std::string dump = testing::internal::GetCapturedStdout();
  EXPECT_NE(std::string::npos, dump.find("HANSA_LATE_REPORT=300\n")) << dump;
  EXPECT_EQ(std::string::npos, dump.find("nobody")) << dump;
}

struct Team {
  int ranks, rank, stride;
};
extern "C" {
Team ncclTeamWorld(ncclComm_t);
Team ncclTeamLsa(ncclComm_t);
Team ncclTeamRail(ncclComm_t);
int ncclTeamRankToWorld(ncclComm_t, Team, int);
int ncclTeamRankToLsa(ncclComm_t, Team, int);
int ncclLLA2ACalcSlots(int, int);
ncclResult_t ncclDevCommCreate(ncclComm_t, const void*, void*);
ncclResult_t ncclGetPeerDevicePointer(ncclWindow_t, std::size_t, int, void**);
ncclResult_t ncclLsaBarrierCreateRequirement(Team, int, void*, void*);
ncclResult_t ncclCommQueryProperties(ncclComm_t, void*);
}

TEST(DeviceApi, TellsThatThereIsNone) {
  Ranks ranks(3);
  const Team world = ncclTeamWorld(ranks[1]);
  EXPECT_EQ(3, world.ranks);
  EXPECT_EQ(1, world.rank);
  EXPECT_EQ(1, world.stride);
  EXPECT_EQ(3, ncclTeamRail(ranks[1]).ranks);
  EXPECT_EQ(1, ncclTeamLsa(ranks[1]).ranks);
  EXPECT_EQ(2, ncclTeamRankToWorld(ranks[1], world, 2));
  EXPECT_EQ(1, ncclTeamRankToWorld(ranks[1], ncclTeamLsa(ranks[1]), 0));
  EXPECT_EQ(0, ncclTeamRankToLsa(ranks[1], world, 1));
  EXPECT_EQ(0, ncclLLA2ACalcSlots(4, 4));
  void* pointer = nullptr;
  EXPECT_REFUSED(ncclInvalidUsage, ncclDevCommCreate(ranks[0], nullptr, nullptr));
  EXPECT_REFUSED(ncclInvalidUsage, ncclGetPeerDevicePointer(nullptr, 0, 0, &pointer));
  EXPECT_REFUSED(ncclInvalidUsage, ncclLsaBarrierCreateRequirement(world, 1, nullptr, nullptr));
  struct {
    std::size_t size = sizeof(std::size_t) + 8 + 16;
    unsigned magic = 0xcafebeef, version = 23203;
    int rank = -1, ranks = -1, cuda = -1, nvml = 0, beyond = 99;
  } properties;
  EXPECT_DONE(ncclCommQueryProperties(ranks[2], &properties));
  EXPECT_EQ(2, properties.rank);
  EXPECT_EQ(3, properties.ranks);
  EXPECT_EQ(99, properties.beyond);
  properties.magic = 0;
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommQueryProperties(ranks[2], &properties));
}

}  // namespace
}  // namespace hansa::test
