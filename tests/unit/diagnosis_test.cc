// Verdicts on jobs that are made up, clocks put right, and dumps that are none.
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "tools/diagnosis/timeline.hpp"
#include "tools/diagnosis/verdict.hpp"

namespace hansa::diagnosis {
namespace {

using control::OperationClass;
constexpr std::int64_t kSecond = 1'000'000'000, kNow = 1'000 * kSecond;

Operation call(std::uint64_t number, Operation::State state = Operation::State::kDone,
               std::uint64_t signature = 7, const std::string& what = "100 float, sum") {
  Operation operation;
  operation.number = number;
  operation.collective = "allreduce";
  operation.text = "allreduce #" + std::to_string(number) + " of " + what;
  operation.signature = signature + number;
  operation.state = state;
  operation.started_ns = kNow - 100 * kSecond + static_cast<std::int64_t>(number) * kSecond;
  if (state != Operation::State::kStarted) operation.ended_ns = operation.started_ns + kSecond / 2;
  return operation;
}
Operation waits(std::uint64_t number) { return call(number, Operation::State::kStarted); }

Operation group(std::vector<Message> messages, Operation::State state = Operation::State::kStarted) {
  Operation operation = call(1, state);
  operation.kind = OperationClass::kMessages;
  operation.text = "group of messages #1";
  operation.messages = std::move(messages);
  return operation;
}

Membership membership(const std::string& number, Rank rank, Rank ranks, std::vector<Operation> operations) {
  Membership one;
  one.number = number;
  one.name = "comm " + number;
  one.rank = rank;
  one.ranks = ranks;
  one.state = "ready";
  one.operations = std::move(operations);
  return one;
}

RankOfJob rank_of_job(Rank rank, std::vector<Membership> memberships, const std::string& host = "node1") {
  return {host, 1000 + rank, rank, kNow, "", std::move(memberships)};
}

// The first finding is the one that matters.
void expect_first(Verdict verdict, const std::vector<Rank>& ranks, const std::vector<std::string>& words,
                  const Job& job) {
  const auto found = judge(job);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(name_of(verdict), name_of(found[0].verdict)) << found[0].text;
  EXPECT_EQ(ranks, found[0].ranks) << found[0].text;
  for (const std::string& word : words)
    EXPECT_NE(std::string::npos, found[0].text.find(word)) << found[0].text << "\nwanted: " << word;
}

TEST(Verdict, NothingIsTheMatter) {
  const Job done{{rank_of_job(0, {membership("a", 0, 2, {call(1), call(2)})}),
                  rank_of_job(1, {membership("a", 1, 2, {call(1), call(2)})})}};
  EXPECT_TRUE(judge(done).empty());
  Job moving = done;
  moving.ranks[0].memberships[0].operations.push_back(waits(3));
  moving.ranks[0].memberships[0].operations.back().started_ns = kNow - kSecond / 2;
  EXPECT_TRUE(judge(moving).empty()) << "it has only just called";
  EXPECT_TRUE(judge(Job{}).empty());
}

TEST(Verdict, StuckOutside) {
  Job job{{rank_of_job(0, {membership("a", 0, 3, {call(1), waits(2)})}),
           rank_of_job(1, {membership("a", 1, 3, {call(1)})}),
           rank_of_job(2, {membership("a", 2, 3, {call(1), waits(2)})})}};
  expect_first(
      Verdict::kStuckOutside, {1},
      {"2 of 3 ranks are in allreduce #2", "rank 1 (node1, pid 1001)", "outside the library", "allreduce #1"},
      job);
  job.ranks[1].memberships[0].operations.clear();
  expect_first(Verdict::kStuckOutside, {1}, {"has not called anything"}, job);
  job.ranks[1].memberships[0].closed_ns = kNow - kSecond;
  expect_first(Verdict::kStuckOutside, {1}, {"ended its part of the communicator 1.0 s before"}, job);
}

TEST(Verdict, WaitedUntilItFailed) {
  const Job job{{rank_of_job(0, {membership("a", 0, 2, {call(1), call(2, Operation::State::kFailed)})}),
                 rank_of_job(1, {membership("a", 1, 2, {call(1)})})}};
  expect_first(Verdict::kStuckOutside, {1}, {"allreduce #2"}, job);
}

TEST(Verdict, MetadataMismatch) {
  const Job job{
      {rank_of_job(0, {membership("a", 0, 3, {call(1), waits(2)})}),
       rank_of_job(
           1, {membership("a", 1, 3, {call(1), call(2, Operation::State::kFailed, 8, "101 float, sum")})}),
       rank_of_job(2, {membership("a", 2, 3, {call(1), waits(2)})})}};
  expect_first(Verdict::kMetadataMismatch, {1},
               {"collective #2 differ", "ranks 0 and 2 called allreduce #2 of 100 float, sum",
                "rank 1 called allreduce #2 of 101"},
               job);
}

TEST(Verdict, OtherNumbersOfElementsAreFineWhereRanksMayDiffer) {
  Operation one = call(1), other = call(1);
  one.collective = other.collective = "alltoallv";
  one.text = "alltoallv #1 of 3 float";
  other.text = "alltoallv #1 of 5 float";
  EXPECT_TRUE(judge({{rank_of_job(0, {membership("a", 0, 2, {one})}),
                      rank_of_job(1, {membership("a", 1, 2, {other})})}})
                  .empty());
}

TEST(Verdict, RankNotJoined) {
  const Job missing{{rank_of_job(0, {membership("a", 0, 3, {waits(1)})}),
                     rank_of_job(2, {membership("a", 2, 3, {waits(1)})})}};
  expect_first(Verdict::kRankNotJoined, {1}, {"of rank 1 there is no trace"}, missing);
  EXPECT_TRUE(judge(missing, Scope::kMachine).empty()) << "it may be elsewhere";
  Job connecting{{rank_of_job(0, {membership("a", 0, 1, {})})}};
  connecting.ranks[0].memberships[0].state = "connecting";
  expect_first(Verdict::kRankNotJoined, {0}, {"rank 0 still connects"}, connecting);
}

TEST(Verdict, DeadlockOfTwoCommunicators) {
  const Job job{{rank_of_job(0, {membership("a", 0, 2, {waits(5)}), membership("b", 1, 2, {call(2)})}),
                 rank_of_job(1, {membership("a", 1, 2, {call(4)}), membership("b", 0, 2, {waits(3)})})}};
  expect_first(Verdict::kDeadlock, {0, 0},
               {"rank 0 (node1, pid 1000) is in allreduce #5 of 100 float, sum on communicator \"comm a\" "
                "(a) and waits for "
                "rank 1 (node1, pid 1001), which is in allreduce #3",
                "and waits for rank 0 (node1, pid 1000); calls that meet"},
               job);
}

TEST(Verdict, DeadlockOfMessages) {
  const auto receive_from = [](Rank peer) { return std::vector<Operation>{group({{"receive", peer, 8}})}; };
  const Job circle{{rank_of_job(0, {membership("a", 0, 3, receive_from(1))}),
                    rank_of_job(1, {membership("a", 1, 3, receive_from(2))}),
                    rank_of_job(2, {membership("a", 2, 3, receive_from(0))})}};
  expect_first(Verdict::kDeadlock, {0, 1, 2}, {"rank 2 (node1, pid 1002), which is in group of messages #1"},
               circle);
  const Job meeting{{rank_of_job(0, {membership("a", 0, 2, {group({{"send", 1, 8}})})}),
                     rank_of_job(1, {membership("a", 1, 2, {group({{"receive", 0, 8}})})})}};
  EXPECT_TRUE(judge(meeting).empty());
}

TEST(Verdict, StuckInside) {
  const Job all{{rank_of_job(0, {membership("a", 0, 2, {waits(1)})}),
                 rank_of_job(1, {membership("a", 1, 2, {waits(1)})})}};
  expect_first(Verdict::kStuckInside, {}, {"all ranks have called allreduce #1"}, all);
  const Job behind{{rank_of_job(0, {membership("a", 0, 2, {call(1), waits(2)})}),
                    rank_of_job(1, {membership("a", 1, 2, {waits(1)})})}};
  expect_first(Verdict::kStuckInside, {1}, {"has not ended an earlier one: it is in allreduce #1"}, behind);
}

TEST(Verdict, Failed) {
  Job job{{rank_of_job(0, {membership("a", 0, 2, {call(1)})}),
           rank_of_job(1, {membership("a", 1, 2, {call(1)})})}};
  job.ranks[0].memberships[0].failure = "rank 7 told me so";
  job.ranks[0].memberships[0].failed_ns = kNow;
  job.ranks[1].memberships[0].failure = "rank 3 died";
  job.ranks[1].memberships[0].failed_ns = kNow - kSecond;
  expect_first(Verdict::kFailed, {}, {"ranks 0 and 1", "rank 1 says: rank 3 died"}, job);
}

TEST(Timeline, ShiftsClocksOnlyAsFarAsNeeded) {
  Job job{{rank_of_job(0, {membership("a", 0, 2, {call(1), call(2)})}, "node1"),
           rank_of_job(1, {membership("a", 1, 2, {call(1), call(2)})}, "node2")}};
  EXPECT_EQ((std::vector<std::int64_t>{0, 0}), clock_shifts(job));
  constexpr std::int64_t kOff = 3600 * kSecond;
  for (Operation& operation : job.ranks[1].memberships[0].operations) {
    operation.started_ns += kOff;
    operation.ended_ns += kOff;
  }
  const auto shifts = clock_shifts(job);
  EXPECT_EQ(0, shifts[0]);
  EXPECT_GE(shifts[1], -kOff - kSecond / 2);
  EXPECT_LE(shifts[1], -kOff + kSecond / 2);
}

TEST(Timeline, DrawsEveryOperation) {
  const Job job{{rank_of_job(3, {membership("a", 3, 4, {call(1), waits(2)})})}};
  const auto trace = nlohmann::json::parse(trace_of(job));
  int calls = 0;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    ++calls;
    EXPECT_EQ(calls == 1 ? 5e5 : 98e6, event.at("dur").get<double>());
  }
  EXPECT_EQ(2, calls);
}

constexpr char kDump[] =
    R"({"rank":0,"hansa":{"format":1,"host":"h","pid":1,"dumped_ns":5,"reason":"","communicators":[
  {"number":"a","name":"","rank":0,"ranks":2,"state":"ready","transports":"","failure":"","failed_ns":0,"late":"",
   "late_told_ns":0,"opened_ns":1,"closed_ns":0,"begun":1,"bytes":8,"operations":[
    {"class":"collective","state":"done","number":1,"text":"t","signature":1,"bytes":8,"started_ns":2,"ended_ns":3,
     "collective":"allreduce","algorithm":"ring"}]}]}})";

TEST(Dump, IsRead) {
  const auto rank = parse_dump(kDump);
  ASSERT_TRUE(rank.ok()) << rank.status().message();
  ASSERT_EQ(1u, rank.value().memberships.size());
  EXPECT_EQ("ring", rank.value().memberships[0].operations.at(0).algorithm);
  EXPECT_EQ(0u, rank.value().memberships[0].rails);
}

TEST(Dump, HasRailsWhereThereAreSome) {
  std::string text = kDump;
  text.replace(text.find(R"("begun")"), 0, R"("rails":{"count":2,"down":1,"lost":3,"back":2,"resent":9},)");
  const auto rank = parse_dump(text);
  ASSERT_TRUE(rank.ok()) << rank.status().message();
  const Membership& one = rank.value().memberships.at(0);
  EXPECT_EQ(
      (std::array<std::uint64_t, 5>{2, 1, 3, 2, 9}),
      (std::array<std::uint64_t, 5>{one.rails, one.rails_down, one.rails_lost, one.rails_back, one.resent}));
}

TEST(Dump, IsRefusedWhereSomethingIsWrong) {
  const std::pair<const char*, const char*> changes[] = {
      {R"("rank":0,"ranks":2)", R"("rank":2,"ranks":2)"},
      {R"("rank":0,"ranks":2)", R"("rank":-1,"ranks":2)"},
      {R"("number":1)", R"("number":-1)"},
      {R"("number":1)", R"("number":1e3)"},
      {R"("begun":1)", R"("begun":18446744073709551615)"},
      {R"("class":"collective")", R"("class":"x")"},
      {R"("state":"done")", R"("state":3)"},
      {R"("format":1)", R"("format":2)"},
      {R"("operations":[)", R"("operations":[3,)"},
      {R"("host":"h")", R"("host":null)"},
      {R"("begun":1)", R"("rails":3,"begun":1)"},
      {R"("begun":1)", R"("rails":{"count":2},"begun":1)"},
      {"{", "["},
      {R"("started_ns":2)", R"("started_ns":9223372036854775807)"}};
  for (const auto& [from, to] : changes) {
    std::string text = kDump;
    text.replace(text.find(from), std::string(from).size(), to);
    const auto refused = parse_dump(text);
    EXPECT_FALSE(refused.ok()) << text;
    EXPECT_NE("", refused.status().message());
  }
}

}  // namespace
}  // namespace hansa::diagnosis
