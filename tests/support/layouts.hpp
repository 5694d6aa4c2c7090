// Ways in which the ranks of a job may lie on hosts, and those in groups: the cases over which rows that need
// levels are proven and run.
#pragma once

#include <vector>

#include "hansa/algorithm.hpp"

namespace hansa::test {

// Hosts of 2 in order; hosts of 3, 1 and 2 with ranks dealt out crosswise; both in groups; and 2 groups of
// single ranks. Those that divide so few ranks at all. They live as long as the process; any thread.
std::vector<const Levels*> layouts(Rank ranks);

// The query as it is where the row supports it so, else with each layout with which it does.
std::vector<Query> on_layouts(const Algorithm& row, const Query& query);

}  // namespace hansa::test
