#include "executor/freight_messages.hpp"

#include <algorithm>

#include "schedule/conflict.hpp"

namespace hansa {
namespace {

// Each pair of steps is looked at. Beyond, messages land in and leave from the workspace.
constexpr std::size_t kMostSteps = 512;

}  // namespace

void FreightMessages::bind(const Plan& plan, std::span<Endpoint* const> endpoint_of) {
  plan_ = &plan;
  std::vector<Ring> rings(plan.channels.size());
  for (std::size_t c = 0; c < rings.size(); ++c) {
    const Capabilities& can = endpoint_of[c]->capabilities();
    if (can.freight == nullptr || plan.channels[c].lane >= can.freight_lanes) continue;
    rings[c].freight = can.freight;
    rings[c].from = can.freight_from;
    bound_ = true;
  }
  if (bound_ && !plan.direct) rings_ = std::move(rings);
}

void FreightMessages::start(bool chunked) {
  active_ = chunked && !rings_.empty();
  if (!active_) return;
  for (Ring& ring : rings_) ring.begun = ring.taken = ring.ended = 0;
  flying_ = 0;
  flying_of_.assign(plan_->schedule.steps.size(), 0);
  if (channels_.empty()) find_conflicts();
}

void FreightMessages::find_conflicts() {
  const Schedule& schedule = plan_->schedule;
  const std::size_t steps = schedule.steps.size();
  channels_.resize(steps);
  for (std::uint32_t c = 0; c < rings_.size(); ++c)
    for (const std::uint32_t step : plan_->channels[c].steps)
      if (plan_->channels[c].outgoing) channels_[step].push_back(c);
  if (steps > kMostSteps) return;
  earlier_.resize(steps);
  for (std::uint32_t later = 1; later < steps; ++later)
    for (std::uint32_t step = 0; step < later; ++step)
      if (conflict(schedule, schedule.steps[step], schedule.steps[later])) earlier_[later].push_back(step);
}

std::uint32_t FreightMessages::oldest_chunk() const {
  std::uint32_t oldest = UINT32_MAX;
  for (std::size_t c = 0; flying_ > 0 && c < rings_.size(); ++c) {
    if (!plan_->channels[c].outgoing) continue;
    for (std::uint32_t n = rings_[c].ended; n != rings_[c].begun; ++n)
      oldest = std::min(oldest, rings_[c].at(n).chunk);
  }
  return oldest;
}

bool FreightMessages::leaves(std::uint32_t step, std::uint32_t chunk) const {
  if (flying_of_[step] == 0) return false;
  for (const std::uint32_t c : channels_[step])
    for (std::uint32_t n = rings_[c].ended; n != rings_[c].begun; ++n)
      if (rings_[c].at(n).step == step && rings_[c].at(n).chunk == chunk) return true;
  return false;
}

bool FreightMessages::holds_back(std::uint32_t step, std::uint32_t chunk) const {
  if (flying_ == 0 || !knows_conflicts()) return false;
  return std::any_of(earlier_[step].begin(), earlier_[step].end(),
                     [&](std::uint32_t before) { return leaves(before, chunk); });
}

void FreightMessages::launch(std::uint32_t channel, const Voyage& voyage, std::size_t bytes) {
  Ring& ring = rings_[channel];
  Voyage& begun = ring.at(ring.begun++);
  begun = voyage;
  begun.done = {};
  ++flying_;
  ++flying_of_[voyage.step];
  if (begun.origin != nullptr) ++begun.origin->holders;
  ring.freight->launch(plan_->channels[channel].lane, {begun.memory, bytes}, begun.done);
}

void FreightMessages::arrived(std::uint32_t channel) {
  Ring& ring = rings_[channel];
  const Voyage& done = ring.at(ring.ended++);
  --flying_;
  --flying_of_[done.step];
  if (done.origin != nullptr) --done.origin->holders;
}

}  // namespace hansa
