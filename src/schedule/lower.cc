// Lowering: from a schedule to the plan that the executor runs.
#include <algorithm>
#include <map>
#include <tuple>

#include "hansa/plan.hpp"

namespace hansa {

Plan lower(const Schedule& schedule, const LoweringOptions& options) {
  Plan plan;
  plan.schedule = expand(schedule);
  plan.order = options.order;
  plan.window = options.window;
  plan.channel_of.assign(plan.schedule.operands.size(), kNoChannel);
  plan.mechanism_of.assign(plan.schedule.operands.size(), Mechanism::kStaged);
  std::map<std::tuple<Rank, std::uint16_t, bool>, std::uint32_t> index;
  for (std::uint32_t s = 0; s < plan.schedule.steps.size(); ++s) {
    const Step& step = plan.schedule.steps[s];
    for (std::uint32_t k = 0; k < std::uint32_t{step.sources} + step.destinations; ++k) {
      const Operand& operand = plan.schedule.operands[step.operands + k];
      if (operand.place != Place::kPeer) continue;
      const bool outgoing = k >= step.sources;
      const auto [entry, fresh] = index.try_emplace({operand.peer, operand.lane, outgoing},
                                                    static_cast<std::uint32_t>(plan.channels.size()));
      if (fresh) plan.channels.push_back({operand.peer, operand.lane, outgoing, {}});
      plan.channel_of[step.operands + k] = entry->second;
      plan.channels[entry->second].steps.push_back(s);
    }
  }
  return plan;
}

std::size_t chunk_elements(std::uint32_t largest_message, std::size_t element_bytes,
                           std::size_t message_bytes) {
  return std::max<std::size_t>(message_bytes / element_bytes / std::max<std::uint32_t>(largest_message, 1),
                               1);
}

}  // namespace hansa
