// Schedules as text and as a picture.
#include "schedule/print.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "hansa/algorithm.hpp"
#include "queries.hpp"

namespace hansa {
namespace {

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Print, TextShowsStepsAndRepeatsAsTheyStand) {
  Builder builder(8, 8, 2);
  builder.combine({input(block(2))}, {peer(4, block(2))});
  builder.begin_repeat(6, -1, 2);
  builder.combine({peer(2, block(1)), input(block(1))}, {peer(4, block(1), 1), scratch(block(1))});
  builder.after(0).after(1);
  builder.end_repeat();
  builder.combine({peer(2, run(6, 3)), input(run(6, 3))}, {output(run(6, 3)), peer(4, run(6, 3))});
  builder.finish();
  builder.combine({output({0, 2, 4, 2})}, {peer(5, {0, 2, 4, 2})});
  EXPECT_EQ(to_text(std::move(builder).build(), 3),
            "rank 3 of 8: 9 steps, 8 blocks, 2 scratch slots, 2 lanes\n"
            "   0  input 2 -> peer 4: 2\n"
            "     repeat 6 times, blocks -1, peers +2:\n"
            "   1    peer 2: 1 + input 1 -> peer 4 lane 1: 1, scratch 1   (after 0, 1 of the round before)\n"
            "   2  peer 2: 6..0 + input 6..0 -> output 6..0, peer 4: 6..0   (finishes)\n"
            "   3  output 0..1 by 4, 2 times -> peer 5: 0..1 by 4, 2 times   (after 2)\n");
}

TEST(Print, NothingIsALineToo) {
  EXPECT_EQ(to_text(std::move(Builder(2, 1)).build(), 0), "rank 0 of 2: 0 steps, 1 block\n");
}

TEST(Print, PictureHasABoxAStepAndAnArrowAMessage) {
  for (const Algorithm& row : builtin_algorithms()) {
    const Query query = test::queries(row, 6).front();
    std::vector<Schedule> all;
    for (Rank self = 0; self < query.ranks; ++self) all.push_back(row.build(query, self));
    std::size_t steps = 0, messages = 0, own = 0;
    for (const Schedule& schedule : all) {
      const Schedule flat = expand(schedule);
      steps += flat.steps.size();
      for (const Step& step : flat.steps)
        for (const Operand& operand : flat.destinations(step)) messages += operand.place == Place::kPeer;
      if (&schedule == &all[2]) own = flat.steps.size();
    }
    const std::string svg = to_svg(all);
    EXPECT_EQ(svg.rfind("<svg ", 0), 0u);
    EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
    EXPECT_EQ(count(svg, "<title>"), steps) << row.name;
    EXPECT_EQ(count(svg, "marker-end"), messages) << row.name;
    EXPECT_EQ(count(to_svg(all, 2), "<title>"), own) << row.name;
    EXPECT_EQ(count(svg, " -> "), 0u) << "unescaped";
  }
}

TEST(Print, PictureOfWrongSchedules) {
  std::vector<Schedule> all;
  for (Rank self = 0; self < 2; ++self) {
    Builder builder(2, 1);
    builder.combine({input(block(0)), peer(1 - self, block(0))},
                    {output(block(0)), peer(1 - self, block(0))});
    if (self == 0) builder.combine({input(block(0))}, {peer(1, block(0), 1)});
    all.push_back(std::move(builder).build());
  }
  const std::string svg = to_svg(all);
  EXPECT_EQ(count(svg, "<title>"), 3u);
  EXPECT_EQ(count(svg, "stroke=\"#d00000\""), 1u);
}

}  // namespace
}  // namespace hansa
