// The queries over which every row of the table is proven, and a way to work through them on all cores.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hansa/algorithm.hpp"

namespace hansa::test {

// "allreduce_ring": letters, digits and underscores, as GoogleTest wants it.
std::string row_name(const Algorithm& row);
// Whether the row's schedules differ with the radix at all.
bool uses_radix(const Algorithm& row);
// All supported queries of one rank count: all roots up to 17 ranks, then 0, 1, n-1; all radices up to 16
// ranks, then 2 and another one; for rows that need levels all layouts up to 17 ranks, then one.
std::vector<Query> queries(const Algorithm& row, Rank ranks);
std::vector<Schedule> build_all(const Algorithm& row, const Query& query);

// Calls job(0) .. job(count-1) from as many threads as there are cores; returns when all are done.
void in_parallel(std::size_t count, const std::function<void(std::size_t)>& job);

}  // namespace hansa::test
