// Hosts from who reaches whom, groups from the file.
#include <gtest/gtest.h>

#include <string>

#include "core/hosts.hpp"
#include "topology/topology_file.hpp"

namespace hansa {
namespace {

using Labels = std::vector<std::uint32_t>;

std::vector<std::vector<bool>> near(std::initializer_list<const char*> rows) {
  std::vector<std::vector<bool>> matrix;
  for (const std::string row : rows) {
    matrix.emplace_back();
    for (const char c : row) matrix.back().push_back(c == '1');
  }
  return matrix;
}

TEST(Hosts, AreOfRanksThatAllReachEachOther) {
  EXPECT_EQ(hosts_of(near({"0000", "0000", "0000", "0000"})), (Labels{0, 1, 2, 3}));
  EXPECT_EQ(hosts_of(near({"1111", "1111", "1111", "1111"})), (Labels{0, 0, 0, 0}));
  EXPECT_EQ(hosts_of(near({"1010", "0101", "1010", "0101"})), (Labels{0, 1, 0, 1}));
}

TEST(Hosts, TakeBothDirectionsAndNoMiddleman) {
  EXPECT_EQ(hosts_of(near({"11", "01"})), (Labels{0, 1}));
  EXPECT_EQ(hosts_of(near({"110", "111", "011"})), (Labels{0, 0, 1}));
}

TEST(TopologyFile, PutsHostsIntoGroups) {
  const auto file = TopologyFile::parse(
      "# cells\n\ngroup a: n1 n2\t n3 # here\n group b : nid[001000-001002,001009].x\ngroup a: last\r\n");
  ASSERT_TRUE(file.ok()) << file.status().message();
  for (const char* host : {"n1", "n2", "n3", "last"}) EXPECT_EQ(file.value().group_of(host), 0u) << host;
  for (const char* host : {"nid001000.x", "nid001002.x", "nid001009.x"})
    EXPECT_EQ(file.value().group_of(host), 1u) << host;
  EXPECT_FALSE(file.value().group_of("nid001003.x"));
  EXPECT_FALSE(file.value().group_of("n"));
}

TEST(TopologyFile, RefusesTheRestAndNamesTheLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "names no host"},
      {"group a: n1\nrack b: n2", "line 2: 'rack b: n2' is not of the form"},
      {"group a n1", "line 1: 'group a n1' is not of the form"},
      {"group : n1", "no name for a group"},
      {"groupa: n1", "no name for a group"},
      {"group a b: n1", "'a b' is no name for a group"},
      {"group a:", "group a has no host"},
      {"group a: n1\ngroup b: n1", "line 2: host n1 is named twice"},
      {"group a: n!", "'n!' is no name of a host"},
      {"group a: n[1-2", "a bracket without the other"},
      {"group a: n]1[", "a bracket without the other"},
      {"group a: n[2-1]", "'2-1' is no range of numbers"},
      {"group a: n[1-]", "'1-' is no range of numbers"},
      {"group a: n[]", "'' is no range of numbers"},
      {"group a: n[0-4294967295]", "is no range of numbers"},
      {"group a: n[1][2]", "'n1[2]' is no name of a host"},
  };
  for (const auto& [text, words] : cases) {
    const auto file = TopologyFile::parse(text);
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_EQ(file.status().code(), Code::kInvalidUsage);
    EXPECT_NE(file.status().message().find(words), std::string_view::npos) << file.status().message();
  }
}

TEST(TopologyFile, SaysThatItCannotBeRead) {
  const auto file = TopologyFile::read("/nowhere/at/all");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(),
            "HANSA_TOPOLOGY=/nowhere/at/all cannot be read: No such file or directory");
}

}  // namespace
}  // namespace hansa
