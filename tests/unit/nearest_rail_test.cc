#include "topology/nearest_rail.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace hansa {
namespace {

std::vector<int> cores_in(std::string_view list) {
  const cpu_set_t cores = cores_of(list);
  std::vector<int> found;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &cores)) found.push_back(core);
  return found;
}

TEST(NearestRail, ReadsTheKernelsLists) {
  EXPECT_EQ((std::vector{0, 1, 2, 8, 10, 11}), cores_in("0-2,8,10-11"));
  EXPECT_EQ(std::vector{1023}, cores_in("1023"));
  for (const char* none : {"", "a", "1-", "-1", "3-1", "1,,2", "1024", "0-99999999999", "1;2"})
    EXPECT_TRUE(cores_in(none).empty()) << none;
}

// A /sys in which each rail is attached to the cores that stand beside its name.
class Sysfs {
 public:
  explicit Sysfs(const std::vector<std::pair<std::string, std::string>>& rails) {
    for (const auto& [name, cores] : rails) {
      const auto folder = root_ / "class/net" / name / "device";
      std::filesystem::create_directories(folder);
      std::ofstream(folder / "local_cpulist") << cores << "\n";
      interfaces.push_back({name, ""});
    }
  }
  ~Sysfs() { std::filesystem::remove_all(root_); }
  Sysfs(const Sysfs&) = delete;
  Sysfs& operator=(const Sysfs&) = delete;
  std::uint32_t nearest(std::uint32_t place) const { return nearest_rail(interfaces, place, root_.string()); }

  std::vector<Interface> interfaces;

 private:
  std::string name_ = (std::filesystem::temp_directory_path() / "sysfs-XXXXXX").string();
  std::filesystem::path root_ = mkdtemp(name_.data());
};

TEST(NearestRail, IsOnTheOwnSocket) {
  const Sysfs sysfs({{"far", "1022-1023"}, {"near", "0-1023"}, {"also", "0-1023"}});
  EXPECT_EQ(1u, sysfs.nearest(0));
  EXPECT_EQ(2u, sysfs.nearest(1));
  EXPECT_EQ(1u, sysfs.nearest(2));
}

TEST(NearestRail, IsEachRanksOwnWhereAllAreAlike) {
  const Sysfs far({{"a", "1023"}, {"b", "1023"}});
  const Sysfs unknown({{"a", ""}, {"b", "?"}});
  for (std::uint32_t place = 0; place < 4; ++place) {
    EXPECT_EQ(place % 2, far.nearest(place));
    EXPECT_EQ(place % 2, unknown.nearest(place));
  }
  EXPECT_EQ(0u, nearest_rail({}, 3));
}

}  // namespace
}  // namespace hansa
