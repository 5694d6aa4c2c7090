// Ways to damage one step of a schedule.
#pragma once

#include <functional>
#include <string>

#include "hansa/schedule.hpp"

namespace hansa::test {

enum class Damage { kDependencyDropped, kPeerSwapped, kBlockShifted, kStepRemoved, kStepDoubled };
inline constexpr int kDamages = 5;

// Calls visit with each way to do so to one step of an expanded schedule, and what was done in words. A
// dependency that others imply is not dropped: nothing would change.
void for_each_mutant(const Schedule& schedule,
                     const std::function<void(Damage, const Schedule&, const std::string&)>& visit);

}  // namespace hansa::test
