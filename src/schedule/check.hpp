// The checker: proves schedules and plans on symbolic data, over all ranks at once and for every order in
// which ranks and messages may run, by happens-before. What is proven, and what is not, stands in
// docs/checker.md. Nothing here runs, sends or measures anything; all functions are pure and may be
// called from any thread. The first thing found wrong is reported with its rank, step and block.
//
// Every check holds for separate buffers and in place alike.
#pragma once

#include <cstdint>
#include <span>

#include "hansa/algorithm.hpp"
#include "hansa/plan.hpp"
#include "hansa/schedule.hpp"
#include "hansa/status.hpp"

namespace hansa {

// Builds the row's schedules for every rank, proves them, and holds them against the row's stated cost
// and, where it says so, against what blocks of uneven size need. The query must be supported.
Status check(const Query& query, const Algorithm& row);

// Proves that the schedules, one a rank, are the query's collective (the v-forms and the barrier are their
// plain form). Time grows with the blocks moved: 260 ranks take well under a second.
Status check_schedules(const Query& query, std::span<const Schedule> by_rank);

struct PlanLimits {
  std::uint32_t slots = 2;   // of every channel
  std::uint32_t chunks = 3;  // of the call
};

// Proves plans, one a rank: that they bind their schedules as lower() promises, that the schedules are right,
// and that chunks in a channel of so few slots never stop. Messages are taken to be as large as
// chunk_elements() lets them be; smaller ones and fewer chunks then pass as well. A point-to-point group is
// proven to match and to end; what its ids mean is each rank's own affair.
Status check_plans(const Query& query, std::span<const Plan> by_rank, const PlanLimits& limits = {});

}  // namespace hansa
