// Messages that are written once for several receivers.
#include <algorithm>

#include "base/fault_point.hpp"
#include "executor/blocks.hpp"
#include "executor/execution.hpp"

namespace hansa {

bool Execution::posts(std::uint32_t index, std::size_t bytes) const {
  const Audience& audience = audience_of_[index];
  if (!audience.gets(bytes)) return false;
  const Step& step = plan_.schedule.steps[index];
  for (std::uint32_t k = step.operands + step.sources; k < step.operands + step.sources + step.destinations;
       ++k) {
    const std::uint32_t c = plan_.channel_of[k];
    if (c == kNoChannel) continue;
    if (goes_direct(k, bytes) || freight_.carries(c, next_[index], bytes)) return false;
  }
  return audience.billboard->reserve(slots_of(bytes, audience.slot_bytes) - 1) != nullptr;
}

void Execution::hand_over_posts(std::uint32_t index, std::size_t bytes) {
  const Audience& audience = audience_of_[index];
  const bool several = bytes > audience.slot_bytes;
  if (several) (void)fault_point(Point::kMessageReserved);
  for (std::size_t left = bytes; left > 0;) {
    const std::size_t now = std::min(left, audience.slot_bytes);
    audience.billboard->commit(audience.readers, static_cast<std::uint32_t>(now), stamp_of(index));
    left -= now;
    if (left > 0) (void)fault_point(Point::kMessageHalf);
  }
  if (several) (void)fault_point(Point::kMessageSent);
}

}  // namespace hansa
