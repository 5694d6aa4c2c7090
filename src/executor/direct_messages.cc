#include "executor/direct_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hansa {

void DirectMessages::bind(const Plan& plan, std::span<Endpoint* const> endpoint_of) {
  plan_ = &plan;
  endpoint_of_ = endpoint_of;
  const Schedule& schedule = plan.schedule;
  operands_.resize(plan.channels.size());
  for (const Step& step : schedule.steps) {
    for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k)
      if (plan.channel_of[k] != kNoChannel) operands_[plan.channel_of[k]].push_back(k);
  }
  remotes_.resize(schedule.operands.size());
  unread_.resize(schedule.operands.size());
  private_.resize(schedule.operands.size());
  announced_.resize(schedule.steps.size());
}

void DirectMessages::start(std::uint32_t number, std::uint32_t stamp) {
  number_ = number;
  stamp_ = stamp;
  std::fill(remotes_.begin(), remotes_.end(), Remote{});
  std::fill(unread_.begin(), unread_.end(), 0);
  all_unread_ = 0;
  std::fill(private_.begin(), private_.end(), false);
  std::fill(announced_.begin(), announced_.end(), false);
}

Status DirectMessages::drain() {
  for (std::uint32_t c = 0; c < plan_->channels.size(); ++c) {
    const Channel& channel = plan_->channels[c];
    if (!channel.outgoing) continue;
    const auto lane = static_cast<std::uint16_t>(channel.lane + kReturnLanes);
    for (;;) {
      const Arrival arrival = endpoint_of_[c]->peek(lane, 0);
      if (arrival.data == nullptr) break;
      Note note;
      if (arrival.bytes != sizeof note)
        return Status(Code::kInvalidUsage,
                      fmt::format("rank {} sent a note of {} bytes", channel.peer, arrival.bytes));
      std::memcpy(&note, arrival.data, sizeof note);
      if (note.number != number_) break;  // the peer is in the next call already
      if (arrival.stamp != stamp_ || note.position >= operands_[c].size())
        return Status(
            Code::kInvalidUsage,
            fmt::format("rank {} is in another call than this rank: collective, count, type, operation and "
                        "root must be equal on all ranks",
                        channel.peer));
      const std::uint32_t operand = operands_[c][note.position];
      if (note.ready != 0) {
        remotes_[operand].descriptor = note.memory;
        remotes_[operand].known = true;
        remotes_[operand].chunk = note.chunk;
        private_[operand] = note.memory.allocation == 0;
      } else if (unread_[operand] > 0) {
        --unread_[operand];
        --all_unread_;
      }
      endpoint_of_[c]->release(lane);
    }
  }
  return {};
}

bool DirectMessages::room_for_note(std::uint32_t channel) const {
  const auto lane = static_cast<std::uint16_t>(plan_->channels[channel].lane + kReturnLanes);
  return endpoint_of_[channel]->reserve(lane, 0) != nullptr;
}

void DirectMessages::send(std::uint32_t channel, const Note& note) {
  const auto lane = static_cast<std::uint16_t>(plan_->channels[channel].lane + kReturnLanes);
  std::memcpy(endpoint_of_[channel]->reserve(lane, 0), &note, sizeof note);
  endpoint_of_[channel]->commit(lane, sizeof note, stamp_);
}

void DirectMessages::send_ready(std::uint32_t channel, std::uint32_t position, std::uint32_t chunk,
                                const Descriptor& memory) {
  send(channel, {number_, position, 1, chunk, memory});
}

void DirectMessages::send_read(std::uint32_t channel, std::uint32_t position) {
  send(channel, {number_, position, 0, 0, {}});
}

bool DirectMessages::learn(std::uint32_t operand, std::uint32_t channel, const Offer& offer,
                           std::size_t bytes) {
  if (offer.memory.bytes != bytes) return false;
  Remote& remote = remotes_[operand];
  remote = {offer.memory, offer.factor, endpoint_of_[channel]->map(offer.memory), true, true,
            remote.route, remote.chunk};
  return true;
}

}  // namespace hansa
