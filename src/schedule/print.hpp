// Schedules for people: as text, one rank's, and as a picture, one rank's or all. Pure functions.
#pragma once

#include <span>
#include <string>

#include "hansa/levels.hpp"
#include "hansa/schedule.hpp"

namespace hansa {

// One line a step, repeats as they stand in the schedule:
//
//   rank 3 of 8: 14 steps, 8 blocks
//      0  input 2 -> peer 4: 2
//      repeat 6 times, blocks -1:
//      1    peer 2: 1 + input 1 -> peer 4: 1
//      ...
//      3  peer 2: 3 + input 3 -> output 3, peer 4: 3   (finishes; after 1)
//
// Blocks are "5", "5..7" or "0..1 by 4, 3 times" (0 1 4 5 8 9); a lane other than 0 stands as "peer 4 lane
// 1".
std::string to_text(const Schedule& schedule, Rank self);

// Whose host and group each rank is of: "hosts 0 0 1 1, groups 0 0 0 0".
std::string to_text(const Levels& levels);

// A standalone SVG of all ranks' schedules: a column a rank, a box a step, an arrow a message. A step stands
// below all it waits for, so a row is a round of the longest chain; the whole step shows under the pointer.
// Indices must be in range, else the schedules need not be right: a message without another end is a red
// stub, and what waits in a circle stands at the bottom. `only` >= 0 draws that rank alone, its messages as
// stubs.
std::string to_svg(std::span<const Schedule> by_rank, Rank only = -1);

}  // namespace hansa
