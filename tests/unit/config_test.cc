// Settings: where they come from, who wins, what is said about them. The log, which is configured by them.
#include "base/config.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/config_file.hpp"
#include "base/lists.hpp"
#include "base/log.hpp"
#include "base/nccl_names.hpp"
#include "base/trusted_file.hpp"
#include "bootstrap/meeting_point.hpp"

namespace hansa {
namespace {

using Variables = std::map<std::string, std::string>;
using Fate = Finding::Fate;

Layer layer_of(const Variables& variables, const std::string& origin = "environment") {
  Layer layer;
  for (const auto& [name, value] : variables) layer.push_back({name, value, origin});
  return layer;
}

Reading read(const Variables& variables) { return read_config(std::vector<Layer>{layer_of(variables)}); }

// A file's values below an environment's.
Reading read(const Variables& file, const Variables& variables) {
  return read_config(std::vector<Layer>{layer_of(file, "/f:1"), layer_of(variables)});
}

const Variable& value_of(const Reading& reading, std::string_view name) {
  return reading.values[static_cast<std::size_t>(find_setting(name) - settings().data())];
}

const Finding& finding_of(const Reading& reading, std::string_view name, std::string_view origin) {
  const auto found = std::find_if(reading.findings.begin(), reading.findings.end(), [&](const Finding& one) {
    return one.variable.name == name && one.variable.origin == origin;
  });
  if (found == reading.findings.end()) throw std::runtime_error(std::string(name) + " was not found");
  return *found;
}

bool says(const std::vector<std::string>& complaints, std::string_view words) {
  return std::any_of(complaints.begin(), complaints.end(),
                     [&](const std::string& line) { return line.find(words) != line.npos; });
}

TEST(Config, DefaultsWhereUnsetOrEmpty) {
  for (const Variables& variables : {Variables{}, {{"HANSA_TIMEOUT", ""}}}) {
    const Reading got = read(variables);
    EXPECT_TRUE(got.complaints.empty());
    EXPECT_EQ(got.config.debug, LogLevel::kWarn);
    EXPECT_EQ(got.config.init_timeout, 60);
    EXPECT_EQ(got.config.late_report, 10);
    EXPECT_EQ(got.config.timeout, 0);
    EXPECT_EQ(got.config.port_range.first, 0);
    EXPECT_FALSE(got.config.checksum);
    EXPECT_EQ(got.config.copier, Copier::kFaster);
    EXPECT_FALSE(got.config.comm_blocking.has_value());
    for (const Variable& value : got.values) EXPECT_EQ(value.origin, "default") << value.name;
  }
}

// The table's defaults are what Config starts with: reading them back changes nothing and is never refused.
TEST(Config, StatedDefaultsAreTheDefaults) {
  Variables variables;
  for (const Setting& setting : settings()) {
    if (*setting.standard) variables[setting.name] = setting.standard;
    EXPECT_NE(*setting.help, '\0') << setting.name;
    EXPECT_TRUE(*setting.ours == '\0' || find_setting(setting.ours) != nullptr) << setting.name;
    EXPECT_EQ(find_ignored(setting.name), nullptr) << setting.name << " is honoured and ignored";
  }
  const Reading got = read(variables);
  const Config standard;
  EXPECT_TRUE(got.complaints.empty());
  EXPECT_EQ(got.config.debug, standard.debug);
  EXPECT_EQ(got.config.init_timeout, standard.init_timeout);
  EXPECT_EQ(got.config.late_report, standard.late_report);
  EXPECT_EQ(got.config.timeout, standard.timeout);
  EXPECT_EQ(got.config.checksum, standard.checksum);
  EXPECT_EQ(got.config.copier, standard.copier);
  EXPECT_EQ(got.config.nccl_version, standard.nccl_version);
}

TEST(Config, ReadsEveryKind) {
  const Reading got = read({{"HANSA_TRANSPORT", "shm,libfabric"},
                            {"HANSA_PORT_RANGE", "20000-20100"},
                            {"HANSA_TIMEOUT", "2.5"},
                            {"HANSA_CHECKSUM", "1"},
                            {"HANSA_SHM_COPY", "ranks"},
                            {"HANSA_TOPOLOGY", "/x/topology"},
                            {"HANSA_HOST_ID", "a"},
                            {"HANSA_NCCL_VERSION", "22907"},
                            {"HANSA_SECRET", "word"},
                            {"NCCL_COMM_ID", "h:1"},
                            {"NCCL_COMM_BLOCKING", "0"},
                            {"NCCL_SOCKET_FAMILY", "AF_INET6"},
                            {"NCCL_DEBUG_FILE", "/x/%h.%p"}});
  EXPECT_TRUE(got.complaints.empty());
  EXPECT_EQ(got.config.transport, "shm,libfabric");
  EXPECT_EQ(got.config.port_range.first, 20000);
  EXPECT_EQ(got.config.port_range.last, 20100);
  EXPECT_EQ(got.config.timeout, 2.5);
  EXPECT_TRUE(got.config.checksum);
  EXPECT_EQ(got.config.copier, Copier::kRanks);
  EXPECT_EQ(got.config.host_id, "a");
  EXPECT_EQ(got.config.nccl_version, 22907);
  EXPECT_EQ(got.config.secret, "word");
  EXPECT_EQ(got.config.comm_id, "h:1");
  EXPECT_EQ(got.config.comm_blocking, std::optional<bool>(false));
  EXPECT_EQ(got.config.address_family, 6);
  EXPECT_EQ(got.config.debug_file, "/x/%h.%p");
  EXPECT_EQ(read({{"HANSA_PORT_RANGE", "7"}}).config.port_range.last, 7);
  EXPECT_EQ(read({{"NCCL_HOSTID", "b"}}).config.host_id, "b");
}

// In NCCL's order; what it does not know says nothing at all there, and is a bad value here.
TEST(Config, LevelsAreNccls) {
  const std::pair<const char*, LogLevel> words[] = {
      {"none", LogLevel::kNone},  {"VERSION", LogLevel::kVersion}, {"Warn", LogLevel::kWarn},
      {"ATTN", LogLevel::kWarn},  {"INFO", LogLevel::kInfo},       {"ABORT", LogLevel::kInfo},
      {"TRACE", LogLevel::kTrace}};
  for (const auto& [word, level] : words) EXPECT_EQ(read({{"NCCL_DEBUG", word}}).config.debug, level) << word;
  EXPECT_LT(LogLevel::kNone, LogLevel::kVersion);
  EXPECT_LT(LogLevel::kVersion, LogLevel::kWarn);
}

TEST(Config, BadValuesAreNamedAndIgnored) {
  const std::pair<const char*, const char*> bad[] = {
      {"HANSA_DEBUG", "LOUD"},          {"HANSA_TIMEOUT", "-1"},        {"HANSA_TIMEOUT", "1s"},
      {"HANSA_TIMEOUT", "nan"},         {"HANSA_TIMEOUT", "inf"},       {"HANSA_INIT_TIMEOUT", "soon"},
      {"HANSA_PORT_RANGE", "0"},        {"HANSA_PORT_RANGE", "70000"},  {"HANSA_PORT_RANGE", "9-8"},
      {"HANSA_PORT_RANGE", "1-2-3"},    {"HANSA_PORT_RANGE", "-"},      {"HANSA_CHECKSUM", "yes"},
      {"HANSA_LATE_REPORT", "1e999"},   {"HANSA_PORT_RANGE", "8 - 9"},  {"HANSA_CHECKSUM", "01"},
      {"HANSA_NCCL_VERSION", "2.29.7"}, {"HANSA_NCCL_VERSION", "7"},    {"NCCL_SOCKET_FAMILY", "ipv4"},
      {"NCCL_COMM_BLOCKING", "2"},      {"NCCL_DEBUG_SUBSYS", "NOISE"}, {"NCCL_DEBUG_SUBSYS", "^"},
      {"HANSA_SHM_COPY", "both"}};
  for (const auto& [name, value] : bad) {
    const Reading got = read({{name, value}});
    ASSERT_EQ(got.complaints.size(), 1u) << name << "=" << value;
    EXPECT_NE(got.complaints[0].find(std::string(name) + "=" + value), std::string::npos);
    EXPECT_NE(got.complaints[0].find("must be"), std::string::npos);
    EXPECT_EQ(finding_of(got, name, "environment").fate, Fate::kRefused);
    EXPECT_EQ(value_of(got, name).origin, "default");
    EXPECT_EQ(got.config.timeout, 0);
    EXPECT_EQ(got.config.port_range.last, 0);
  }
}

TEST(Config, TheEnvironmentWinsOverFilesAndOursOverTheirs) {
  Reading got = read({{"NCCL_DEBUG", "TRACE"}, {"HANSA_DEBUG", "none"}});
  EXPECT_EQ(got.config.debug, LogLevel::kNone);
  EXPECT_EQ(finding_of(got, "NCCL_DEBUG", "environment").fate, Fate::kOverruled);
  EXPECT_EQ(finding_of(got, "NCCL_DEBUG", "environment").why, "HANSA_DEBUG (environment) wins");
  EXPECT_EQ(value_of(got, "HANSA_DEBUG").value, "none");
  EXPECT_EQ(value_of(got, "NCCL_DEBUG").origin, "default");

  got = read({{"HANSA_DEBUG", "TRACE"}}, {{"NCCL_DEBUG", "INFO"}});
  EXPECT_EQ(got.config.debug, LogLevel::kInfo);
  EXPECT_EQ(finding_of(got, "HANSA_DEBUG", "/f:1").fate, Fate::kOverruled);
  EXPECT_EQ(value_of(got, "HANSA_DEBUG").value, "INFO");
  EXPECT_EQ(value_of(got, "HANSA_DEBUG").origin, "environment, as NCCL_DEBUG");

  got = read({{"HANSA_HOST_ID", "a"}, {"HANSA_TRANSPORT", "shm"}}, {{"HANSA_HOST_ID", "b"}});
  EXPECT_EQ(got.config.host_id, "b");
  EXPECT_EQ(got.config.transport, "shm");
  EXPECT_EQ(value_of(got, "HANSA_TRANSPORT").origin, "/f:1");

  // An empty value above takes a value away; a bad one does not.
  got =
      read({{"HANSA_HOST_ID", "a"}, {"HANSA_DEBUG", "INFO"}}, {{"HANSA_HOST_ID", ""}, {"HANSA_DEBUG", "?"}});
  EXPECT_EQ(got.config.host_id, "");
  EXPECT_EQ(finding_of(got, "HANSA_HOST_ID", "/f:1").why, "emptied by environment");
  EXPECT_EQ(got.config.debug, LogLevel::kInfo);
  EXPECT_EQ(got.complaints.size(), 1u);
}

TEST(Config, SlipsInOurNamesAreSaidWithTheNearestName) {
  const std::pair<const char*, const char*> slips[] = {{"HANSA_TIMOUT", "is HANSA_TIMEOUT meant?"},
                                                       {"HANSA_ALGORTIHM", "is HANSA_ALGORITHM meant?"},
                                                       {"HANSA_TRANSPORTS", "is HANSA_TRANSPORT meant?"},
                                                       {"HANSA_COMM_ID", "is NCCL_COMM_ID meant?"},
                                                       {"HANSA_NOTHING_LIKE_IT", "`hansa config` lists"}};
  for (const auto& [name, words] : slips) {
    const Reading got = read({{name, "1"}});
    ASSERT_EQ(got.complaints.size(), 1u) << name;
    EXPECT_NE(got.complaints[0].find(words), std::string::npos) << got.complaints[0];
    EXPECT_TRUE(says(read({{name, "1"}}, {}).complaints, "(/f:1) is ignored")) << name;
  }
  EXPECT_EQ(nearest("abcdef", {"uvwxyz"}), "");
  EXPECT_EQ(nearest("", {"a"}), "");
  EXPECT_EQ(nearest("abcdef", {"abcdxx", "abcdfe"}), "abcdfe");
}

TEST(Config, NcclNamesAreHonouredIgnoredWithAReasonOrLeftAlone) {
  const Reading got = read({{"NCCL_IB_HCA", "mlx5"}, {"NCCL_SHM_DISABLE", "1"}, {"NCCL_NO_SUCH_THING", "1"}});
  EXPECT_TRUE(got.complaints.empty());
  EXPECT_EQ(finding_of(got, "NCCL_IB_HCA", "environment").fate, Fate::kIgnored);
  EXPECT_NE(finding_of(got, "NCCL_IB_HCA", "environment").why.find("InfiniBand"), std::string::npos);
  EXPECT_NE(finding_of(got, "NCCL_SHM_DISABLE", "environment").why.find("HANSA_TRANSPORT"),
            std::string::npos);
  EXPECT_EQ(finding_of(got, "NCCL_NO_SUCH_THING", "environment").why, "NCCL documents no such variable");
  for (const IgnoredName& name : ignored_nccl_names()) {
    EXPECT_TRUE(std::string_view(name.name).starts_with("NCCL_")) << name.name;
    EXPECT_EQ(std::count_if(ignored_nccl_names().begin(), ignored_nccl_names().end(),
                            [&](const IgnoredName& one) { return std::string_view(one.name) == name.name; }),
              1)
        << name.name;
  }
  // A file may set anything in NCCL; here that would be lost in silence.
  EXPECT_TRUE(says(read({{"FI_PROVIDER", "tcp"}}, {}).complaints, "export it"));
}

TEST(Config, SecretsAreShownToNobody) {
  const Reading got = read({{"HANSA_SECRET", "tell-no-one"}, {"NCCL_PSK", "tell-no-one"}});
  EXPECT_EQ(got.config.secret, "tell-no-one");
  EXPECT_TRUE(says(got.complaints, "NCCL_PSK"));  // it asks for more than there is
  EXPECT_FALSE(says(got.complaints, "tell-no-one"));
  for (const Finding& one : got.findings) EXPECT_EQ(one.variable.value, "(hidden)") << one.variable.name;
  for (const Variable& one : got.values) EXPECT_NE(one.value, "tell-no-one") << one.name;
}

TEST(Config, FilesAreLinesOfNameAndValue) {
  std::vector<std::string> complaints;
  const Layer got = parse_config_file(
      "# a comment\n\nNCCL_SOCKET_IFNAME==ens1f0\n  NCCL_DEBUG = WARN \r\nNCCL_DEBUG=INFO\nnonsense\n=1\na "
      "b=2\nHANSA_X=",
      "/f", complaints);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].name, "NCCL_SOCKET_IFNAME");
  EXPECT_EQ(got[0].value, "=ens1f0");
  EXPECT_EQ(got[0].origin, "/f:3");
  EXPECT_EQ(got[1].value, "WARN");
  EXPECT_EQ(got[1].origin, "/f:4");
  EXPECT_EQ(got[2].value, "");
  ASSERT_EQ(complaints.size(), 3u);
  EXPECT_NE(complaints[0].find("/f:6 is ignored"), std::string::npos) << complaints[0];
}

class ConfigFiles : public testing::Test {
 protected:
  ConfigFiles() {
    std::string pattern = testing::TempDir() + "hansa_config_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~ConfigFiles() override {
    for (const char* name : {"site", ".nccl.conf", "other", "log.1"}) ::unlink(at(name).c_str());
    ::rmdir(folder_.c_str());
  }
  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(at(name)) << text;
    ASSERT_EQ(::chmod(at(name).c_str(), mode), 0);
  }
  Reading read_with(const Variables& environment) {
    complaints_.clear();
    return read_config(layers_of(layer_of(environment), at("site"), folder_, complaints_));
  }
  std::string folder_;
  std::vector<std::string> complaints_;
};

TEST_F(ConfigFiles, TheUsersWinsOverTheSitesAndANamedOneStandsForIt) {
  write("site", "HANSA_HOST_ID=site\nHANSA_TRANSPORT=shm\nHANSA_INTERFACE=eth0\n", 0644);
  write(".nccl.conf", "HANSA_HOST_ID=user\nHANSA_TRANSPORT=inproc\n");
  write("other", "HANSA_HOST_ID=other\n");
  Reading got = read_with({{"HANSA_INTERFACE", "lo"}});
  EXPECT_EQ(got.config.host_id, "user");
  EXPECT_EQ(got.config.transport, "inproc");
  EXPECT_EQ(got.config.interface, "lo");
  EXPECT_EQ(value_of(got, "HANSA_TRANSPORT").origin, at(".nccl.conf") + ":2");
  EXPECT_EQ(finding_of(got, "HANSA_INTERFACE", at("site") + ":3").why, "HANSA_INTERFACE (environment) wins");
  got = read_with({{"NCCL_CONF_FILE", at("other")}});
  EXPECT_EQ(got.config.host_id, "other");
  EXPECT_EQ(got.config.transport, "shm");
  EXPECT_TRUE(complaints_.empty());
  (void)read_with({{"NCCL_CONF_FILE", "/dev/null"}});
  EXPECT_TRUE(complaints_.empty());
  (void)read_with({{"NCCL_CONF_FILE", at("none")}});
  EXPECT_TRUE(says(complaints_, "does not exist"));
}

TEST_F(ConfigFiles, WhatOthersCouldHaveWrittenIsLeftOut) {
  for (const mode_t mode : {0620, 0602, 0666}) {
    write(".nccl.conf", "HANSA_HOST_ID=user\n", mode);
    EXPECT_EQ(read_with({}).config.host_id, "") << mode;
    EXPECT_TRUE(says(complaints_, "chmod go-w " + at(".nccl.conf"))) << mode;
  }
  write(".nccl.conf", "HANSA_HOST_ID=user\n", 0644);
  EXPECT_EQ(read_with({}).config.host_id, "user");
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(at(".nccl.conf").c_str(), 12345, 12345), 0);
    EXPECT_EQ(read_with({}).config.host_id, "");
    EXPECT_TRUE(says(complaints_, "belongs to user 12345"));
  }
  (void)read_with({{"NCCL_CONF_FILE", folder_}});
  EXPECT_TRUE(says(complaints_, "it is no file"));
  ASSERT_EQ(::mkfifo(at("other").c_str(), 0600), 0);  // must not be waited for
  EXPECT_FALSE(read_trusted_file(at("other"), 100).ok());
  EXPECT_FALSE(read_trusted_file(at(".nccl.conf"), 3).ok());
}

// Where root is not mapped (a container's user namespace), its files seem to be nobody's, and so does /etc.
TEST_F(ConfigFiles, ThoseOfAnUnmappedRootAreTrusted) {
  write("site", "HANSA_HOST_ID=site\n", 0644);
  // Not GTEST_SKIP, which would count the whole program as skipped.
  if (::geteuid() != 0 || ::chmod(folder_.c_str(), 0755) != 0) {
    printf("not tried: only root can become someone else\n");
    return;
  }
  const pid_t child = fork();
  if (child == 0) {
    if (::setgid(12345) != 0 || ::setuid(12345) != 0 || ::unshare(CLONE_NEWUSER) != 0) _exit(2);
    ::prctl(PR_SET_DUMPABLE, 1);  // or /proc/self is still root's
    const int map = ::open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    constexpr std::string_view kLine = "1000 12345 1";
    if (map < 0 || ::write(map, kLine.data(), kLine.size()) != static_cast<ssize_t>(kLine.size())) _exit(2);
    struct stat about {};
    if (::stat(at("site").c_str(), &about) != 0 || about.st_uid == 0 || about.st_uid == ::geteuid()) _exit(2);
    _exit(read_with({}).config.host_id == "site" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 2)
    printf("not tried: no user namespace can be made here\n");
  else
    EXPECT_EQ(status, 0);
}

TEST_F(ConfigFiles, ASecretMayStandInAFileThatOnlyItsOwnerWrites) {
  write("other", "  a word \nmore\n");
  EXPECT_EQ(bootstrap::read_secret("@" + at("other")).value(), "a word");
  EXPECT_EQ(bootstrap::read_secret("plain").value(), "plain");
  EXPECT_EQ(bootstrap::read_secret("").value(), "");
  EXPECT_EQ(bootstrap::read_secret("@" + at("none")).status().code(), Code::kInvalidUsage);
  write("other", "\n");
  EXPECT_FALSE(bootstrap::read_secret("@" + at("other")).ok());
  write("other", "a word\n", 0666);
  EXPECT_FALSE(bootstrap::read_secret("@" + at("other")).ok());
}

TEST(Log, LinesAreWholeAndNameTheRank) {
  testing::internal::CaptureStderr();
  {
    LogRank rank(3);
    write_log(LogLevel::kWarn, "late");
    LogRank inner(4);
    write_log(LogLevel::kInfo, "chosen");
  }
  write_log(LogLevel::kTrace, "step");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(":3 WARN late\n"), std::string::npos) << text;
  EXPECT_NE(text.find(":4 INFO chosen\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" TRACE step\n"), std::string::npos) << text;
  EXPECT_EQ(text.rfind("hansa ", 0), 0u) << text;
}

TEST(Log, ArgumentsOfASilentLevelAreNotEvaluated) {
  if (logs(LogLevel::kTrace)) GTEST_SKIP() << "HANSA_DEBUG=TRACE is set";
  int evaluated = 0;
  HANSA_TRACE("{}", ++evaluated);
  EXPECT_EQ(evaluated, 0);
}

TEST(Log, FileNamesKnowHostAndProcess) {
  EXPECT_EQ(expand_percent("/l/%h.%p", "n1", 42), "/l/n1.42");
  EXPECT_EQ(expand_percent("%%h%x%", "n1", 42), "%h%x%");
  EXPECT_EQ(expand_percent(escape_percent("100%p"), "n1", 42), "100%p");
  EXPECT_EQ(read({{"NCCL_DEBUG_FILE", "log"}}).config.debug_file.front(), '/');
}

// Once read, a setting stays: warm calls need not look again, and no other thread's setenv is raced with.
TEST(Config, IsReadOnce) {
  const Config before = config();
  ::setenv("HANSA_HOST_ID", "changed", 1);
  EXPECT_EQ(config().host_id, before.host_id);
  ::unsetenv("HANSA_HOST_ID");
}

}  // namespace
}  // namespace hansa
