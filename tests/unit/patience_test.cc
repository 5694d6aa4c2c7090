// What is due when nothing moves, on a clock of the test's own.
#include "core/patience.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hansa {
namespace {

using Due = Patience::Due;

struct Event {
  double at;
  Due due;
  friend bool operator==(const Event& a, const Event& b) {
    return a.due == b.due && a.at - b.at < 0.051 && b.at - a.at < 0.051;
  }
};
void PrintTo(const Event& event, std::ostream* to) {
  *to << static_cast<int>(event.due) << " at " << event.at;
}

// Looks twenty times a second.
std::vector<Event> events(Patience& patience, double seconds, double begin = 0) {
  std::vector<Event> all;
  const auto start = Patience::Clock::time_point(std::chrono::seconds(1000));
  for (double at = begin; at <= seconds; at += 0.05) {
    const auto now =
        start + std::chrono::duration_cast<Patience::Clock::duration>(std::chrono::duration<double>(at));
    if (const Due due = patience.look(now); due != Due::kNothing) all.push_back({at, due});
  }
  return all;
}

std::vector<Event> without_questions(std::vector<Event> all) {
  std::erase_if(all, [](const Event& event) { return event.due == Due::kQuestion; });
  return all;
}

TEST(Patience, AsksSoonAndAgainAndAgain) {
  Patience patience;
  patience.begin(0, 0);
  EXPECT_EQ((std::vector<Event>{{0.2, Due::kQuestion}, {0.7, Due::kQuestion}, {1.2, Due::kQuestion}}),
            events(patience, 1.3));
}

TEST(Patience, ReportsAfterTwiceTheTimeAgain) {
  Patience patience;
  patience.begin(10, 0);
  EXPECT_EQ((std::vector<Event>{{10, Due::kReport}, {20, Due::kReport}, {40, Due::kReport}}),
            without_questions(events(patience, 79)));
}

TEST(Patience, GivesUpWhenTheTimeIsOverThoughThingsMove) {
  Patience patience;
  patience.begin(10, 2);
  for (int i = 0; i < 3; ++i) (void)patience.poll(true);
  EXPECT_EQ((std::vector<Event>{{2, Due::kTimeOut}}), without_questions(events(patience, 2.01)));
}

TEST(Patience, AShortTimeStillLeavesOneForAQuestion) {
  Patience patience;
  patience.begin(10, 0.3);
  const auto all = events(patience, 0.31);
  ASSERT_EQ(2u, all.size());
  EXPECT_EQ(Due::kQuestion, all[0].due);
  EXPECT_EQ(Due::kTimeOut, all[1].due);
}

TEST(Patience, StartsAnewWhenSomethingMoves) {
  Patience patience;
  patience.begin(1, 0);
  EXPECT_EQ(0u, without_questions(events(patience, 0.9)).size());
  (void)patience.poll(true);
  EXPECT_EQ((std::vector<Event>{{1.95, Due::kReport}}), without_questions(events(patience, 2.0, 0.95)));
}

}  // namespace
}  // namespace hansa
