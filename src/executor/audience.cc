#include "executor/audience.hpp"

#include <algorithm>

namespace hansa {

Audience audience_of(const Plan& plan, const Step& step, std::span<Endpoint* const> endpoint_of) {
  Audience audience;
  std::size_t from = 0;
  for (std::uint32_t k = step.sources; k < std::uint32_t{step.sources} + step.destinations; ++k) {
    const std::uint32_t c = plan.channel_of[step.operands + k];
    if (c == kNoChannel) continue;
    const Capabilities& can = endpoint_of[c]->capabilities();
    if (can.billboard == nullptr) return {};
    if (!audience.readers.empty() && can.billboard != audience.billboard) return {};
    audience.billboard = can.billboard;
    audience.readers.push_back({can.billboard_place, plan.channels[c].lane});
    audience.slot_bytes = can.slot_bytes;
    from = std::max(from, can.posts_from);
  }
  if (audience.readers.size() < 2) return {};
  audience.from = from;
  return audience;
}

}  // namespace hansa
