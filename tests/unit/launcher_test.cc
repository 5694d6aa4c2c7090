// Launchers whose channel is a key-value space: what their process managers say, and what they might say.
#include "bootstrap/launcher.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "bootstrap/launchers/environment.hpp"
#include "bootstrap/launchers/key_value.hpp"
#include "bootstrap/launchers/pmi_text.hpp"
#include "scripted_pmi.hpp"

namespace hansa::bootstrap {
namespace {

using test::ScriptedPmi;
using test::some_bytes;
using test::Variables;
using namespace std::chrono_literals;

TEST(Pieces, ComeTogetherAgain) {
  for (const std::size_t most_value : {16, 17, 99, 512, 16384}) {
    for (const std::size_t size : {0, 1, 2, 5, 6, 127, 128, 4095, 4096}) {
      const auto bytes = some_bytes(size);
      Assembly assembly;
      for (const std::string& piece : cut(bytes, most_value)) {
        EXPECT_LE(piece.size(), most_value);
        EXPECT_FALSE(assembly.complete());
        ASSERT_TRUE(assembly.add(piece)) << piece;
      }
      ASSERT_TRUE(assembly.complete());
      EXPECT_EQ(bytes, assembly.take());
    }
  }
}

TEST(Pieces, OfAnotherKindAreRefused) {
  for (const char* first : {"", "x", "12", "-1.", "+1.00", "1.0", "1.0g", "1.0000", "0.00", "4097.", ".00",
                            "1 .00", "99999999999999999999.", "1.0G", "1.AA"})
    EXPECT_FALSE(Assembly().add(first)) << first;
  for (const char* second : {"", "0", "000000", "zz"}) {
    Assembly assembly;
    ASSERT_TRUE(assembly.add("3.01"));
    EXPECT_FALSE(assembly.add(second)) << second;
  }
}

TEST(PmiText, Lines) {
  const auto answer = parse_pmi1("cmd=get_result rc=0 msg=success value=12.ab=c  x=");
  ASSERT_TRUE(answer);
  EXPECT_EQ("get_result", answer->command);
  EXPECT_EQ("12.ab=c", answer->field("value"));
  EXPECT_EQ("", answer->field("x"));
  EXPECT_EQ("", answer->field("absent"));
  EXPECT_TRUE(answer->succeeded());
  EXPECT_FALSE(parse_pmi1("cmd=a rc=-1")->succeeded());
  for (const char* line : {"", " ", "cmd", "cmd=", "rc=0 cmd=a", "cmd=a word", "cmd=a =b"})
    EXPECT_FALSE(parse_pmi1(line)) << line;
}

TEST(PmiText, Messages) {
  const auto answer = parse_pmi2("cmd=kvs-get-response;rc=0;found=TRUE;value=a;;b=c;;;empty=;");
  ASSERT_TRUE(answer);
  EXPECT_EQ("kvs-get-response", answer->command);
  EXPECT_EQ("a;b=c;", answer->field("value"));
  EXPECT_EQ("TRUE", answer->field("found"));
  for (const char* body : {"", ";", "cmd=a", "cmd=;", "a=b;cmd=c;", "cmd=a;b;", "cmd=a;=b;"})
    EXPECT_FALSE(parse_pmi2(body)) << body;
  EXPECT_EQ("    12cmd=finalize", with_pmi2_length("cmd=finalize").substr(0, 18));
  EXPECT_EQ(12u, parse_pmi2_length("    12"));
  EXPECT_EQ(12u, parse_pmi2_length("12    "));
  EXPECT_EQ(0u, parse_pmi2_length("0     "));
  for (const char* digits : {"      ", "12", "1 2   ", "-1    ", "0x10  ", "999999", "12    x"})
    EXPECT_FALSE(parse_pmi2_length(digits)) << digits;
}

TEST(PmiText, PlacesOnHosts) {
  const auto place = [](const char* mapping, Rank rank, Rank ranks) {
    const auto found = find_local_place(mapping, rank, ranks);
    return found ? std::pair(found->rank, found->ranks) : std::pair(-1, -1);
  };
  EXPECT_EQ(std::pair(2, 3), place("(vector,(0,1,1))", 2, 3));          // MPICH's for one host: started over
  EXPECT_EQ(std::pair(1, 4), place("(vector,(0,2,4))", 5, 8));          // blocks
  EXPECT_EQ(std::pair(1, 2), place("(vector,(0,4,1))", 5, 8));          // cyclic
  EXPECT_EQ(std::pair(0, 1), place("(vector,(0,2,3),(2,1,1))", 6, 7));  // uneven
  EXPECT_EQ(std::pair(4, 5), place("(vector,(0,1,2),(1,1,3),(0,1,9))", 7, 8));  // back to the first host
  for (const char* mapping : {"", "(vector)", "(vector,)", "(vector,(0,1))", "(vector,(0,0,1))",
                              "(vector,(0,1,0))", "(vector,(0,1,1)", "(vector,(0,1,1))x", "(vector,(-1,1,1))",
                              "(vector,(4294967295,1,1))", "(vector,(0,1,99999999999))", "unknown"})
    EXPECT_EQ(std::pair(-1, -1), place(mapping, 0, 2)) << mapping;
}

class Pmi : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Version, Pmi, testing::Values(1, 2));

TEST_P(Pmi, BroadcastsAndSaysGoodbye) {
  constexpr int kRanks = 4;
  ScriptedPmi server(kRanks, GetParam(), "(vector,(0,2,2))");
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      const Variables environment = server.environment(rank);
      auto launcher = find_launcher(environment.lookup());
      ASSERT_TRUE(launcher.ok()) << launcher.status().c_str();
      const Job& job = launcher.value()->job();
      EXPECT_EQ(rank, job.rank);
      EXPECT_EQ(kRanks, job.ranks);
      EXPECT_EQ(rank % 2, job.local_rank);
      EXPECT_EQ(2, job.local_ranks);
      EXPECT_EQ("PMI-" + std::to_string(GetParam()), job.launcher);
      for (const std::size_t size : {128, 0, 4096}) {
        const auto mine = rank == 0 ? some_bytes(size) : some_bytes(static_cast<std::size_t>(rank));
        const auto got = launcher.value()->broadcast(mine, 20s);
        ASSERT_TRUE(got.ok()) << got.status().c_str();
        EXPECT_EQ(some_bytes(size), got.value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(kRanks, server.goodbyes());
}

TEST_P(Pmi, TooManyBytesAreRefusedBeforeAnythingIsSaid) {
  ScriptedPmi server(1, GetParam(), "");
  const Variables environment = server.environment(0);
  auto launcher = find_launcher(environment.lookup());
  ASSERT_TRUE(launcher.ok()) << launcher.status().c_str();
  EXPECT_EQ(0, launcher.value()->job().local_rank);
  EXPECT_EQ(1, launcher.value()->job().local_ranks);
  EXPECT_EQ(Code::kInvalidArgument, launcher.value()->broadcast(some_bytes(4097), 20s).status().code());
  EXPECT_TRUE(launcher.value()->broadcast(some_bytes(4096), 20s).ok());
}

TEST_P(Pmi, OneThatNeverComesIsATimeOut) {
  ScriptedPmi server(2, GetParam(), "(vector,(0,1,2))");
  const Variables environment = server.environment(0);
  auto launcher = find_launcher(environment.lookup());
  ASSERT_TRUE(launcher.ok()) << launcher.status().c_str();
  const auto late = launcher.value()->broadcast(some_bytes(9), 50ms);
  EXPECT_EQ(Code::kRemote, late.status().code());
  EXPECT_NE(std::string_view::npos, late.status().message().find("in time")) << late.status().c_str();
  EXPECT_EQ(Code::kInvalidUsage, launcher.value()->broadcast(some_bytes(9), 50ms).status().code());
  launcher.value().reset();
  EXPECT_EQ(0, server.goodbyes());  // which would be taken for an answer to the fence
}

TEST_P(Pmi, StrangeAnswersAreErrors) {
  const auto fails = [](const std::string& word, const std::string& bytes) {
    ScriptedPmi server(1, GetParam(), "(vector,(0,1,1))");
    server.instead(word, bytes);
    const Variables environment = server.environment(0);
    EXPECT_FALSE(find_launcher(environment.lookup()).ok()) << word << " answered by " << bytes.substr(0, 20);
  };
  const std::string hang_up, endless(9000, 'a');
  const std::vector<std::string> lines = {hang_up, endless, "\n", "cmd=other\n", "cmd=\n", "rc=0\n"};
  const std::vector<std::string> messages = {hang_up,  endless,         "     0",          "-00001",
                                             "999999", "     7cmd=xxx", "    10cmd=other;"};
  for (const std::string& line : lines) fails("cmd=init", line);
  if (GetParam() == 1) {
    for (const char* word : {"get_maxes", "get_my_kvsname", "PMI_process_mapping"})
      for (const std::string& line : lines) fails(word, line);
    fails("get_maxes", "cmd=maxes keylen_max=64 vallen_max=8\n");
  } else {
    for (const char* word : {"fullinit", "job-getid", "PMI_process_mapping"})
      for (const std::string& message : messages) fails(word, message);
    fails("fullinit", "    36cmd=fullinit-response;rank=1;size=1;");
  }
}

TEST_P(Pmi, AnotherVersionIsRefused) {
  ScriptedPmi server(1, GetParam(), "");
  Variables environment = server.environment(0);
  environment["PMI_JOBID"] = GetParam() == 1 ? "1.0" : "";
  const auto launcher = find_launcher(environment.lookup());
  EXPECT_EQ(Code::kUnsupported, launcher.status().code()) << launcher.status().c_str();
}

TEST_P(Pmi, ForkedChildSaysNothing) {
  ScriptedPmi server(1, GetParam(), "");
  const Variables environment = server.environment(0);
  auto launcher = find_launcher(environment.lookup());
  ASSERT_TRUE(launcher.ok()) << launcher.status().c_str();
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = !launcher.value()->broadcast(some_bytes(1), 1s).ok();
    launcher.value().reset();
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
  EXPECT_TRUE(launcher.value()->broadcast(some_bytes(1), 20s).ok());
  EXPECT_EQ(0, server.goodbyes());
  launcher.value().reset();
  EXPECT_EQ(1, server.goodbyes());
}

void expect_error(std::initializer_list<std::pair<const std::string, std::string>> list, Code code,
                  std::string_view names) {
  const Variables environment = list;
  const auto launcher = find_launcher(environment.lookup());
  EXPECT_EQ(code, launcher.status().code()) << names << ": " << launcher.status().c_str();
  EXPECT_NE(std::string_view::npos, launcher.status().message().find(names)) << launcher.status().c_str();
}

TEST(FindLauncher, TracesThatLeadToNothingAreErrors) {
  expect_error({{"PMI_FD", "0x5"}, {"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}, Code::kInvalidArgument,
               "PMI_FD=0x5");
  expect_error({{"PMI_FD", "1000000"}, {"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}, Code::kUnsupported,
               "PMI_FD=1000000");
  expect_error({{"PMI_FD", "5"}}, Code::kInvalidArgument, "PMI_SIZE");
  expect_error({{"PMI_FD", "5"}, {"PMI_RANK", "4"}, {"PMI_SIZE", "4"}}, Code::kInvalidArgument, "PMI_RANK=4");
  expect_error({{"PMI_PORT", "host:1"}, {"PMI_ID", "0"}}, Code::kUnsupported, "-pmi-port");
  expect_error({{"RANK", "0"}, {"WORLD_SIZE", "2"}}, Code::kInvalidUsage, "MASTER_ADDR");
  expect_error({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "::1"}}, Code::kInvalidArgument,
               "MASTER_PORT");
  expect_error({{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "::1"}, {"MASTER_PORT", "1"}},
               Code::kInvalidArgument, "RANK=2");
  expect_error({{"RANK", "0"}, {"TORCHELASTIC_USE_AGENT_STORE", "True"}}, Code::kInvalidArgument,
               "WORLD_SIZE");
  expect_error({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}}, Code::kUnsupported, "--mpi=pmi2");
}

TEST(Slurm, TasksKnowTheirPlaceOnTheHost) {
  const std::int64_t counts[] = {2, 2, 2, 1, 3, 0};
  for (std::int64_t node = 0; node < 6; ++node)
    EXPECT_EQ(counts[node], tasks_on_node("2(x3),1,3", node)) << node;
  for (const char* list : {"", "x", "0", "-1", "2(3)", "2(x", "2(x3", "2(x0)", "99999999999999999999"})
    EXPECT_EQ(0, tasks_on_node(list, 0)) << list;
  EXPECT_EQ(0, tasks_on_node("2,", 1));
  Variables task = {{"SLURM_PROCID", "5"},
                    {"SLURM_STEP_NUM_TASKS", "7"},
                    {"SLURM_LOCALID", "1"},
                    {"SLURM_NODEID", "2"},
                    {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"}};
  Job job = job_of_slurm(task.lookup()).value();
  EXPECT_EQ(std::pair(1, 2), std::pair(job.local_rank, job.local_ranks));
  task["SLURM_NODEID"] = "3";  // one task there: the variables contradict one another
  job = job_of_slurm(task.lookup()).value();
  EXPECT_EQ(std::pair(0, 1), std::pair(job.local_rank, job.local_ranks));
  EXPECT_EQ(std::pair(5, 7), std::pair(job.rank, job.ranks));
}

TEST(FindLauncher, NoTracesMeanAlone) {
  const Variables environments[] = {
      {},
      {{"PMI_FD", ""}, {"RANK", "1"}, {"MASTER_ADDR", "h"}},
      {{"WORLD_SIZE", "2"}},
      {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}},  // the script of sbatch
      {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "1"}},
  };
  for (const Variables& environment : environments) {
    const auto launcher = find_launcher(environment.lookup());
    ASSERT_TRUE(launcher.ok()) << launcher.status().c_str();
    EXPECT_EQ(nullptr, launcher.value());
  }
}

// A file where PMI_FD points is not spoken to.
TEST(FindLauncher, OnlySocketsAreSpokenTo) {
  int pipe_ends[2];
  ASSERT_EQ(0, pipe(pipe_ends));
  expect_error({{"PMI_FD", std::to_string(pipe_ends[1])}, {"PMI_RANK", "0"}, {"PMI_SIZE", "1"}},
               Code::kUnsupported, "no open socket");
  close(pipe_ends[1]);
  char byte = 0;
  EXPECT_EQ(0, read(pipe_ends[0], &byte, 1));
  close(pipe_ends[0]);
}

}  // namespace
}  // namespace hansa::bootstrap
