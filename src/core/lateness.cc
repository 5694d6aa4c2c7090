// What is due when an operation takes long, and when a message has come that does not belong to it.
#include <fmt/format.h>

#include <algorithm>

#include "base/config.hpp"
#include "base/log.hpp"
#include "core/communicator.hpp"

namespace hansa {
namespace {

constexpr std::size_t kMostNamed = 8;  // ranks that one waits for

}  // namespace

void Communicator::begin_waiting(const Operation& operation) {
  double limit = operation.limit;
  if (limit < 0) limit = limit_.load(std::memory_order_relaxed);
  if (limit < 0) limit = config().timeout;
  patience_.begin(config().late_report, limit);
}

Status Communicator::look_at_clock(const Operation& operation, bool moved) {
  const Patience::Due due = patience_.poll(moved);
  if (due == Patience::Due::kNothing) return {};
  if (due == Patience::Due::kTimeOut) return timed_out(operation);
  if (session_) {
    note_waits_for(operation);
    session_->ask({due == Patience::Due::kReport ? Concern::Why::kLate : Concern::Why::kWaiting,
                   operation.number,
                   {}});
  }
  return {};
}

Status Communicator::timed_out(const Operation& operation) const {
  const std::lock_guard lock(lateness_mutex_);
  return Status(Code::kRemote,
                fmt::format("{} was not done within its time-out of {:g} s{}", call_text(operation),
                            patience_.limit(), verdict_.text.empty() ? "" : ": " + verdict_.text));
}

// Whose messages are missing, or who gives no slots back.
void Communicator::note_waits_for(const Operation& operation) {
  std::vector<Rank> ranks;
  if (operation.kind == Operation::Kind::kOneSided) {
    if (operation.next < operation.one_sided.size()) ranks.push_back(operation.one_sided[operation.next].peer);
  } else {
    const auto is_new = [&](Rank rank) { return std::find(ranks.begin(), ranks.end(), rank) == ranks.end(); };
    for (Rank rank = 0; rank >= 0 && ranks.size() < kMostNamed;) {
      rank = operation.execution->waits_for(is_new);
      if (rank >= 0) ranks.push_back(rank);
    }
  }
  const std::lock_guard lock(lateness_mutex_);
  waits_for_ = std::move(ranks);
}

// Control knows what the others called; this rank only that it was something else.
Status Communicator::asked_about(const Operation& operation, const Status& mismatch) const {
  if (!session_) return mismatch;
  session_->ask({Concern::Why::kMismatch, operation.number, std::string(mismatch.message())});
  return better_known(mismatch);
}

void Communicator::hear(const Verdict& verdict) {
  {
    const std::lock_guard lock(lateness_mutex_);
    verdict_ = verdict;
  }
  if (verdict.late && verdict.speaker == options_.rank) {
    const LogRank rank(options_.rank);
    HANSA_WARN("{}", verdict.text);
  }
}

}  // namespace hansa
