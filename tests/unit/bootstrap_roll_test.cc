// Roll calls: what everybody is told when somebody is concerned, over sessions on several "hosts", and the
// judgement of answers that no test could arrange.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "bootstrap/roll.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {
namespace {

using State = Whereabouts::State;
using std::chrono::milliseconds;

Whereabouts inside(std::uint64_t number, std::uint32_t signature, const std::string& call) {
  Whereabouts is;
  is.state = State::kInside;
  is.collective = true;
  is.number = number;
  is.since_ms = 1500;
  is.call = is.asked_call = call;
  is.asked_signature = signature;
  return is;
}

Whereabouts outside(std::uint64_t number, const std::string& call) {
  Whereabouts is;
  is.number = number;
  is.collective = true;
  is.call = call;
  is.since_ms = 2500;
  return is;
}

// What a rank hears.
struct Ear {
  std::mutex mutex;
  std::condition_variable heard;
  Verdict verdict;
  Status failure;

  template <class Done>
  bool wait(Done done) {
    std::unique_lock lock(mutex);
    return heard.wait_for(lock, std::chrono::seconds(20), [&] { return done(*this); });
  }
};

// Ranks as threads, two on a host; rank 0 is concerned once all listen.
void call_roll(Rank ranks, const Concern& concern, const std::function<Whereabouts(Rank)>& does,
               const std::function<void(Ear&)>& check) {
  SessionOptions options;
  options.interface = "127.0.0.1";
  const auto id = create_unique_id(options);
  ASSERT_TRUE(id.ok()) << id.status().c_str();
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      SessionOptions mine = options;
      mine.host_id = "host" + std::to_string(rank / 2);
      auto session = join(id.value(), rank, ranks, mine);
      ASSERT_TRUE(session.ok()) << session.status().c_str();
      Ear ear;
      Session::Watcher watcher;
      watcher.failed = [&](const Status& why) {
        const std::lock_guard lock(ear.mutex);
        ear.failure = why;
        ear.heard.notify_all();
      };
      watcher.whereabouts = [&](std::uint64_t) { return does(rank); };
      watcher.judged = [&](const Verdict& verdict) {
        const std::lock_guard lock(ear.mutex);
        ear.verdict = verdict;
        ear.heard.notify_all();
      };
      session.value()->watch(watcher);
      EXPECT_TRUE(session.value()->allgather({}).ok());
      if (rank == 0) session.value()->ask(concern, 0);
      check(ear);
      // Nobody leaves before all have heard: who leaves is reported otherwise.
      (void)session.value()->allgather({});
      session.value()->leave();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Roll, NamesWhoIsLateOnEveryRank) {
  const auto does = [](Rank rank) {
    return rank == 5 ? outside(6, "allgather #6") : inside(7, 0xabc, "allreduce #7 of 100 float32");
  };
  call_roll(7, {Concern::Why::kLate, 7, {}}, does, [](Ear& ear) {
    ASSERT_TRUE(ear.wait([](Ear& e) { return !e.verdict.text.empty(); }));
    EXPECT_TRUE(ear.verdict.late);
    EXPECT_EQ(std::vector<Rank>{5}, ear.verdict.missing);
    EXPECT_EQ(0, ear.verdict.speaker);
    for (const char* part :
         {"allreduce #7", "6 of 7 ranks have come", "rank 5 (host ", "allgather #6", "2.5 s"})
      EXPECT_NE(std::string::npos, ear.verdict.text.find(part)) << ear.verdict.text;
  });
}

TEST(Roll, CallsThatDifferFailOnEveryRank) {
  const auto does = [](Rank rank) {
    return rank == 3 ? inside(7, 0xdef, "broadcast #7 of 5 int8 from rank 0")
                     : inside(7, 0xabc, "allreduce #7 of 100 float32");
  };
  call_roll(5, {Concern::Why::kWaiting, 7, {}}, does, [](Ear& ear) {
    ASSERT_TRUE(ear.wait([](Ear& e) { return !e.failure.ok(); }));
    EXPECT_EQ(Code::kInvalidUsage, ear.failure.code());
    const std::string text(ear.failure.message());
    for (const char* part : {"ranks 0-2, 4 called allreduce #7 of 100 float32",
                             "rank 3 called broadcast #7 of 5 int8 from rank 0"})
      EXPECT_NE(std::string::npos, text.find(part)) << text;
  });
}

std::vector<Member> members(Rank ranks) {
  std::vector<Member> all;
  for (Rank rank = 0; rank < ranks; ++rank)
    all.push_back({"h", "h", 100 + rank, 1000u + static_cast<std::uint64_t>(rank)});
  return all;
}

TEST(Roll, NamesTheCycleOfTwoCommunicators) {
  std::vector<Presence> roll(2);
  roll[0].whereabouts = inside(1, 1, "allreduce #1 of 8 int8");
  roll[0].whereabouts.waits_for = {1};
  roll[1].elsewhere = {{"allgather #1 of 8 int8 on communicator \"rows\"", {1000}}};
  const auto judged = judge(members(2), roll, {0, {Concern::Why::kLate, 1, {}}});
  ASSERT_TRUE(judged.failure.ok());
  for (const char* part : {"waits in allgather #1 of 8 int8 on communicator \"rows\" for rank 0",
                           "waits here for rank 1", "opposite order"})
    EXPECT_NE(std::string::npos, judged.verdict.text.find(part)) << judged.verdict.text;
}

TEST(Roll, StoppedAndSilentRanksAreSaidToBe) {
  std::vector<Presence> roll(3);
  roll[0].whereabouts = inside(1, 1, "allreduce #1 of 8 int8");
  roll[1].whereabouts.state = State::kStopped;
  roll[2].whereabouts.state = State::kSilent;
  const auto judged = judge(members(3), roll, {0, {Concern::Why::kLate, 1, {}}});
  EXPECT_EQ((std::vector<Rank>{1, 2}), judged.verdict.missing);
  for (const char* part :
       {"rank 1 (host h, pid 101), which is stopped", "rank 2 (host h, pid 102), which does not"})
    EXPECT_NE(std::string::npos, judged.verdict.text.find(part)) << judged.verdict.text;
}

// By NCCL's rule it leaves at once: late for the others, but no mismatch.
TEST(Roll, ACountOfZeroIsLateNotDifferent) {
  std::vector<Presence> roll(2);
  roll[0].whereabouts = inside(4, 9, "allreduce #4 of 8 int8");
  roll[1].whereabouts = outside(4, "allreduce #4 of 0 int8");
  roll[1].whereabouts.asked_call = "allreduce #4 of 0 int8";
  const auto judged = judge(members(2), roll, {0, {Concern::Why::kLate, 4, {}}});
  ASSERT_TRUE(judged.failure.ok());
  EXPECT_EQ(std::vector<Rank>{1}, judged.verdict.missing);
  EXPECT_NE(std::string::npos, judged.verdict.text.find("allreduce #4 of 0 int8")) << judged.verdict.text;
}

// Also when it has gone on to the next call, which only sends.
TEST(Roll, ACountOfZeroIsLateWhateverCameAfterIt) {
  std::vector<Presence> roll(2);
  roll[0].whereabouts = inside(4, 9, "allreduce #4 of 8 int8");
  roll[1].whereabouts = outside(5, "broadcast #5 of 8 int8, root 1");
  roll[1].whereabouts.asked_call = "allreduce #4 of 0 int8";
  const auto judged = judge(members(2), roll, {0, {Concern::Why::kLate, 4, {}}});
  ASSERT_TRUE(judged.failure.ok());
  EXPECT_EQ(std::vector<Rank>{1}, judged.verdict.missing);
  EXPECT_NE(std::string::npos, judged.verdict.text.find("called allreduce #4 of 0 int8, and so left at once"))
      << judged.verdict.text;
}

// Who found it comes first, and none is left out.
TEST(Roll, AMessageThatDoesNotBelongNamesEverybodyInside) {
  constexpr Rank kRanks = 14;
  std::vector<Presence> roll(kRanks);
  for (Presence& presence : roll) {
    presence.whereabouts.state = State::kInside;
    presence.whereabouts.call = "group of messages #1";
  }
  roll[4].whereabouts.state = State::kOutside;
  const auto judged = judge(members(kRanks), roll,
                            {12, {Concern::Why::kMismatch, 0, "rank 13 has 8 bytes where this rank has 9"}});
  const std::string text(judged.failure.message());
  for (const char* part :
       {"calls differ: rank 12 has been in group of messages #1 for 0.0 s, and found: rank 13 has 8 bytes",
        "; rank 7 has been in", "; ranks 8-11, 13 are in calls, too"})
    EXPECT_NE(std::string::npos, text.find(part)) << text;
  EXPECT_EQ(std::string::npos, text.find("rank 4 ")) << text;
}

// Who has no logbook cannot say what it does, nor does it say anything else.
TEST(Roll, ARankWithoutALogbookIsSaidToHaveNone) {
  std::vector<Presence> roll(2);
  roll[0].whereabouts = inside(1, 1, "allreduce #1 of 8 int8");
  roll[1].whereabouts.state = State::kUnknown;
  const auto judged = judge(members(2), roll, {0, {Concern::Why::kLate, 1, {}}});
  EXPECT_EQ(std::vector<Rank>{1}, judged.verdict.missing);
  EXPECT_NE(std::string::npos, judged.verdict.text.find("rank 1 (host h, pid 101), which keeps no logbook"))
      << judged.verdict.text;
}

// Two that receive from each other: both are in a call, and still each is what the other waits for.
TEST(Roll, AReceiveSaysWhatItsSenderDoes) {
  std::vector<Presence> roll(2);
  for (Rank rank = 0; rank < 2; ++rank) {
    Whereabouts& is = roll[static_cast<std::size_t>(rank)].whereabouts;
    is.state = State::kInside;
    is.call = rank == 0 ? "receive #1 of 8 bytes from rank 1" : "receive #1 of 8 bytes from rank 0";
    is.waits_for = {1 - rank};
  }
  const auto judged = judge(members(2), roll, {0, {Concern::Why::kLate, 0, {}}});
  EXPECT_EQ(std::vector<Rank>{1}, judged.verdict.missing);
  EXPECT_NE(std::string::npos, judged.verdict.text.find("has been in receive #1 of 8 bytes from rank 0"))
      << judged.verdict.text;
}

TEST(Roll, WhoHasWhatItWaitedForIsNotSpokenOf) {
  std::vector<Presence> roll(2);
  roll[0].whereabouts = inside(5, 9, "allreduce #5 of 8 int8");
  EXPECT_EQ("", judge(members(2), roll, {0, {Concern::Why::kLate, 4, {}}}).verdict.text);
}

// Of threads of one process nobody knows which one waits elsewhere.
TEST(Roll, RanksOfOneProcessMakeNoCycle) {
  std::vector<Presence> roll(3);
  roll[0].whereabouts = inside(1, 1, "allreduce #1 of 8 int8");
  roll[1].whereabouts = roll[0].whereabouts;
  roll[2].elsewhere = {{"allgather #1 of 8 int8 on communicator \"rows\"", {1000}}};
  auto all = members(3);
  all[1].process = all[2].process;
  const auto judged = judge(all, roll, {0, {Concern::Why::kLate, 1, {}}});
  EXPECT_EQ(std::vector<Rank>{2}, judged.verdict.missing);
  EXPECT_EQ(std::string::npos, judged.verdict.text.find("cycle")) << judged.verdict.text;
}

// Messages have no number that ranks count alike: who waits says whom for.
TEST(Roll, AReceiveNamesItsSender) {
  std::vector<Presence> roll(3);
  roll[0].whereabouts.state = State::kInside;
  roll[0].whereabouts.call = "receive of 16 bytes from rank 2";
  roll[0].whereabouts.since_ms = 1000;
  roll[0].whereabouts.waits_for = {2};
  const auto judged = judge(members(3), roll, {0, {Concern::Why::kLate, 0, {}}});
  EXPECT_EQ(std::vector<Rank>{2}, judged.verdict.missing);
  EXPECT_NE(std::string::npos, judged.verdict.text.find("rank 2 (host h, pid 102), which has made no call"))
      << judged.verdict.text;
}

TEST(Roll, EveryWordSurvivesTheWireAndNothingElseDoes) {
  Presence presence;
  presence.whereabouts = inside(7, 0xabc, "a call");
  presence.whereabouts.waits_for = {0, 2};
  presence.elsewhere = {{"another call", {1, 2, 3}}};
  const auto bytes = presence.encode();
  Presence back;
  ASSERT_TRUE(Presence::parse(bytes, 3, &back));
  EXPECT_EQ(bytes, back.encode());
  EXPECT_FALSE(Presence::parse(bytes, 2, &back)) << "rank 2 of 2";
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(Presence::parse(BytesView(bytes).first(size), 3, &back)) << size;
  RaisedConcern raised{3, {Concern::Why::kMismatch, 12, "detail"}}, raised_back;
  ASSERT_TRUE(RaisedConcern::parse(raised.encode(), &raised_back));
  EXPECT_EQ(raised.encode(), raised_back.encode());
  Verdict verdict{true, 1, {2, 3}, "text"}, verdict_back;
  ASSERT_TRUE(parse_verdict(encode_verdict(verdict), 4, &verdict_back));
  EXPECT_FALSE(parse_verdict(encode_verdict(verdict), 3, &verdict_back)) << "rank 3 of 3";
  EXPECT_EQ(encode_verdict(verdict), encode_verdict(verdict_back));
}

}  // namespace
}  // namespace hansa::bootstrap
