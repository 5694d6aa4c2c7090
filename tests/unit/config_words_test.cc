// Words that users write: algorithms, interfaces, meeting points, subsystems.
#include <gtest/gtest.h>

#include "base/config.hpp"
#include "base/nccl_algo.hpp"
#include "bootstrap/interface_filter.hpp"
#include "bootstrap/meeting_point.hpp"
#include "tuner/tuner.hpp"

namespace hansa {
namespace {

Reading read(const char* name, const char* value) {
  return read_config(std::vector<Layer>{{{name, value, "environment"}}});
}

TEST(NcclAlgo, BecomesAWishOfOurs) {
  const struct {
    const char *theirs, *ours, *remark;
  } cases[] = {
      {"Ring", "ring", ""},
      {"ring,TREE", "ring|double_binary_tree|knomial", ""},
      {"^tree", "^double_binary_tree|knomial", ""},
      {"allreduce:tree;allgather:ring", "allgather:ring,allreduce:double_binary_tree|knomial", ""},
      {"ring;ReduceScatter:PAT", "reduce_scatter:circulant,ring", ""},
      {"allreduce:ring;allreduce:^ring", "allreduce:^ring,allreduce:ring", ""},
      {"NVLS", "", "means nothing here: NVLS"},
      {"nvls,ring", "ring", "means nothing here: nvls"},
      {"allreduce:NVLSTree;sendrecv:ring", "", "means nothing here: NVLSTree, sendrecv"},
      {"ring;tree", "ring", "means nothing here: tree"},
      {";;", "", ""},
      {",:^", "", "means nothing here: ,"},
  };
  for (const auto& [theirs, ours, remark] : cases) {
    std::string said;
    EXPECT_EQ(wish_of_nccl_algo(theirs, said), ours) << theirs;
    EXPECT_EQ(said, remark) << theirs;
    EXPECT_TRUE(check_wish(ours).ok()) << ours;
    EXPECT_EQ(read("NCCL_ALGO", theirs).complaints.size(), *remark ? 1u : 0u) << theirs;
  }
}

TEST(Wish, ChoosesTheBetterOfSeveralAndNoneOfThose) {
  Query query;
  query.collective = Collective::kAllReduce;
  query.ranks = 4;
  const auto chosen = [&](std::string_view wish) {
    return choose(query, 1 << 20, Reached::kInMemory, wish).value()->name;
  };
  EXPECT_EQ(chosen(""), "two_shot");
  EXPECT_EQ(chosen("ring|knomial"), "ring");
  EXPECT_EQ(chosen("knomial|double_binary_tree"), "knomial");
  EXPECT_EQ(chosen("allgather:ring,allreduce:knomial,one_shot"), "knomial");
  EXPECT_EQ(chosen("^two_shot"), "ring");
  EXPECT_EQ(chosen("bruck"), "two_shot");  // serves no allreduce
  const std::string_view left = chosen("^two_shot|ring");
  EXPECT_TRUE(left != "two_shot" && left != "ring") << left;
  for (const char* bad : {"rng", "ring|rng", "^rng", "allreduce:", "reduceall:ring"})
    EXPECT_EQ(check_wish(bad).code(), Code::kInvalidUsage) << bad;
}

TEST(Choice, OnOneMachineTakesFewTurnsForLittleAndFewBytesForMuch) {
  const auto chosen = [](Collective collective, Rank ranks, std::size_t bytes,
                         Reached reached = Reached::kInMemory) {
    Query query;
    query.collective = collective;
    query.ranks = ranks;
    return choose(query, bytes, reached, "").value()->name;
  };
  EXPECT_EQ(chosen(Collective::kBroadcast, 8, 1 << 20), "split");
  EXPECT_EQ(chosen(Collective::kBroadcast, 8, 1 << 20, Reached::kInDepots), "direct");
  EXPECT_EQ(chosen(Collective::kBroadcast, 8, 1 << 20, Reached::kBySlots), "ring");
  EXPECT_EQ(chosen(Collective::kAllReduce, 2, 16 * 1024), "one_shot");
  EXPECT_EQ(chosen(Collective::kAllReduce, 8, 4 * 1024), "one_shot");
  EXPECT_EQ(chosen(Collective::kAllReduce, 8, 8 * 1024), "two_shot");
  EXPECT_EQ(chosen(Collective::kAllReduce, 32, 8 * 1024), "recursive_doubling");
  for (const Collective rooted : {Collective::kBroadcast, Collective::kReduce}) {
    EXPECT_EQ(chosen(rooted, 8, 8), "direct");
    EXPECT_EQ(chosen(rooted, 8, 32 * 1024), "direct");
    EXPECT_EQ(chosen(rooted, 32, 8), "knomial");
  }
}

TEST(Interfaces, AreSelectedAsNcclDoes) {
  const struct {
    const char *filter, *name;
    bool admitted;
  } cases[] = {
      {"", "eth0", true},        {"eth", "eth0", true},      {"eth,ib", "ib0", true},
      {"eth", "lo", false},      {"=eth", "eth0", false},    {"=eth0", "eth0", true},
      {"=eth0", "eth01", false}, {"=eth0,ib1", "ib1", true}, {"^docker", "eth0", true},
      {"^eth,lo", "lo", false},  {"^=eth0", "eth0", false},  {"^=eth0", "eth01", true},
  };
  for (const auto& [filter, name, admitted] : cases) {
    const auto parsed = bootstrap::InterfaceFilter::parse(filter);
    ASSERT_TRUE(parsed.ok()) << filter;
    EXPECT_EQ(parsed.value().admits(name), admitted) << filter << " and " << name;
  }
  for (const char* bad : {"^", "=", "^=", ",", "^, ,"})
    EXPECT_EQ(bootstrap::InterfaceFilter::parse(bad).status().code(), Code::kInvalidArgument) << bad;
  EXPECT_EQ(bootstrap::choose_address("=lo").value().host_text(), "127.0.0.1");
  EXPECT_EQ(bootstrap::choose_address("lo", 4).value().host_text(), "127.0.0.1");
  EXPECT_EQ(bootstrap::choose_rails("=lo").value(), (std::vector{Interface{"lo", "127.0.0.1"}}));
  EXPECT_TRUE(bootstrap::choose_rails("127.0.0.1").value().empty());
  EXPECT_FALSE(bootstrap::choose_address("=l").ok());
  EXPECT_NE(bootstrap::choose_address("^lo").value().host_text(), "");
}

TEST(MeetingPoint, IsAHostAndAPort) {
  const struct {
    const char *text, *host;
    int port;
  } good[] = {{"10.0.0.1:4711", "10.0.0.1", 4711},
              {"[fd00::1]:1", "fd00::1", 1},
              {"node-1.site:65535", "node-1.site", 65535}};
  for (const auto& [text, host, port] : good) {
    const auto place = bootstrap::parse_place(text);
    ASSERT_TRUE(place.ok()) << place.status().c_str();
    EXPECT_EQ(place.value().host, host);
    EXPECT_EQ(place.value().port, port);
  }
  for (const char* bad : {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "[fd00::1]",
                          "[fd00::1:1", "[host]:1", "fd00::1:4711", "[fe80::1%eth0]:1", "a b:1", "[]:1"})
    EXPECT_EQ(bootstrap::parse_place(bad).status().code(), Code::kInvalidArgument) << bad;
  EXPECT_EQ(bootstrap::resolve({"127.0.0.7", 9}, 0).value().text(), "127.0.0.7:9");
  EXPECT_EQ(bootstrap::resolve({"localhost", 9}, 4).value().text(), "127.0.0.1:9");
  EXPECT_EQ(bootstrap::resolve({"::1", 9}, 0).value().text(), "[::1]:9");
}

TEST(Subsystems, AreListedOrLeftOut) {
  const auto bit = [](Subsystem one) { return std::uint32_t{1} << static_cast<unsigned>(one); };
  const auto mask = [](const char* value) { return read("NCCL_DEBUG_SUBSYS", value).config.subsystems; };
  EXPECT_EQ(mask("INIT,net"), bit(Subsystem::kInit) | bit(Subsystem::kNet));
  EXPECT_EQ(mask("^INIT,NET"), ~(bit(Subsystem::kInit) | bit(Subsystem::kNet)));
  EXPECT_EQ(mask("ALL,^ENV"), ~bit(Subsystem::kEnv));
  EXPECT_EQ(mask("ALL"), ~std::uint32_t{0});
  EXPECT_EQ(mask("DESTROY,NOISE"), bit(Subsystem::kDestroy));
  const auto complaints = read("NCCL_DEBUG_SUBSYS", "DESTROY,NOISE").complaints;
  ASSERT_EQ(complaints.size(), 1u);
  EXPECT_NE(complaints[0].find("no subsystem is called NOISE"), std::string::npos) << complaints[0];
  EXPECT_EQ(subsystem_names()[static_cast<std::size_t>(Subsystem::kBootstrap)], "BOOTSTRAP");
  EXPECT_EQ(subsystem_names()[static_cast<std::size_t>(Subsystem::kDestroy)], "DESTROY");
}

}  // namespace
}  // namespace hansa
