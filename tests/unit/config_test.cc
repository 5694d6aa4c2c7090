#include "base/config.hpp"

#include <gtest/gtest.h>

#include <map>

#include "base/log.hpp"

namespace hansa {
namespace {

struct Read {
  Config config;
  std::vector<std::string> complaints;
};

Read read(const std::map<std::string, std::string>& variables) {
  Read result;
  result.config = read_config(
      [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      },
      result.complaints);
  return result;
}

TEST(Config, DefaultsWhereUnsetOrEmpty) {
  for (const auto& variables : {std::map<std::string, std::string>{}, {{"HANSA_TIMEOUT", ""}}}) {
    const Read got = read(variables);
    EXPECT_TRUE(got.complaints.empty());
    EXPECT_EQ(got.config.debug, LogLevel::kWarn);
    EXPECT_EQ(got.config.init_timeout, 60);
    EXPECT_EQ(got.config.late_report, 10);
    EXPECT_EQ(got.config.timeout, 0);
    EXPECT_EQ(got.config.port_range.first, 0);
    EXPECT_FALSE(got.config.checksum);
  }
}

// The table's defaults are what Config starts with: reading them back changes nothing and is never refused.
TEST(Config, StatedDefaultsAreTheDefaults) {
  std::map<std::string, std::string> variables;
  for (const Setting& setting : settings()) {
    if (*setting.standard) variables[setting.name] = setting.standard;
    EXPECT_NE(*setting.help, '\0') << setting.name;
  }
  const Read got = read(variables);
  const Config standard;
  EXPECT_TRUE(got.complaints.empty());
  EXPECT_EQ(got.config.debug, standard.debug);
  EXPECT_EQ(got.config.init_timeout, standard.init_timeout);
  EXPECT_EQ(got.config.late_report, standard.late_report);
  EXPECT_EQ(got.config.timeout, standard.timeout);
  EXPECT_EQ(got.config.checksum, standard.checksum);
}

TEST(Config, ReadsEveryKind) {
  const Read got = read({{"HANSA_TRANSPORT", "shm,libfabric"},
                         {"HANSA_PORT_RANGE", "20000-20100"},
                         {"HANSA_TIMEOUT", "2.5"},
                         {"HANSA_CHECKSUM", "1"},
                         {"HANSA_HOST_ID", "a"}});
  // Two of them are for later, and said to be.
  ASSERT_EQ(got.complaints.size(), 2u);
  for (const std::string& line : got.complaints) EXPECT_NE(line.find("has no effect"), line.npos) << line;
  EXPECT_EQ(got.config.transport, "shm,libfabric");
  EXPECT_EQ(got.config.port_range.first, 20000);
  EXPECT_EQ(got.config.port_range.last, 20100);
  EXPECT_EQ(got.config.timeout, 2.5);
  EXPECT_TRUE(got.config.checksum);
  EXPECT_EQ(got.config.host_id, "a");
  EXPECT_EQ(read({{"HANSA_PORT_RANGE", "7"}}).config.port_range.last, 7);
}

TEST(Config, OurLevelWinsOverTheAlias) {
  EXPECT_EQ(read({{"NCCL_DEBUG", "info"}}).config.debug, LogLevel::kInfo);
  EXPECT_EQ(read({{"NCCL_DEBUG", "VERSION"}}).config.debug, LogLevel::kWarn);
  EXPECT_EQ(read({{"NCCL_DEBUG", "TRACE"}, {"HANSA_DEBUG", "none"}}).config.debug, LogLevel::kNone);
}

TEST(Config, BadValuesAreNamedAndIgnored) {
  const std::pair<const char*, const char*> bad[] = {
      {"HANSA_DEBUG", "LOUD"},        {"HANSA_TIMEOUT", "-1"},       {"HANSA_TIMEOUT", "1s"},
      {"HANSA_TIMEOUT", "nan"},       {"HANSA_TIMEOUT", "inf"},      {"HANSA_INIT_TIMEOUT", "soon"},
      {"HANSA_PORT_RANGE", "0"},      {"HANSA_PORT_RANGE", "70000"}, {"HANSA_PORT_RANGE", "9-8"},
      {"HANSA_PORT_RANGE", "1-2-3"},  {"HANSA_PORT_RANGE", "-"},     {"HANSA_CHECKSUM", "yes"},
      {"HANSA_LATE_REPORT", "1e999"}, {"HANSA_PORT_RANGE", "8 - 9"}, {"HANSA_CHECKSUM", "01"},
  };
  for (const auto& [name, value] : bad) {
    const Read got = read({{name, value}});
    ASSERT_EQ(got.complaints.size(), 1u) << name << "=" << value;
    EXPECT_NE(got.complaints[0].find(std::string(name) + "=" + value), std::string::npos);
    EXPECT_NE(got.complaints[0].find("must be"), std::string::npos);
    EXPECT_EQ(got.config.timeout, 0);
    EXPECT_EQ(got.config.port_range.last, 0);
  }
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

}  // namespace
}  // namespace hansa
