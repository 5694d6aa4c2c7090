// What is due when an operation takes long, and when a message has come that does not belong to it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/config.hpp"
#include "base/log.hpp"
#include "base/ticks.hpp"
#include "control/logbook_reading.hpp"
#include "core/communicator.hpp"
#include "core/factory.hpp"

namespace hansa {
namespace {

// That control may take to find out what the others called: rolls of a deep tree where somebody is stopped.
constexpr std::chrono::milliseconds kMismatch{900};
// The same in seconds for who is late, where a call was kept from asking before its time-out.
constexpr double kLateness = 0.3;
constexpr std::size_t kMostNamed = 8;  // ranks that one waits for

using control::LoggedOperation;
using control::OperationClass;

// That all ranks count alike; 0 for what is none.
std::uint64_t collective_number(const Operation& operation) {
  return operation.kind == Operation::Kind::kCollective ? operation.number : 0;
}

std::uint32_t milliseconds_since(std::uint64_t at) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(logbook().scale().ago_ns(at) / 1'000'000, 0, UINT32_MAX));
}

}  // namespace

void Communicator::set_limit(double seconds) noexcept {
  limit_.store(seconds < 0 ? config().timeout : seconds, std::memory_order_relaxed);
}

Status Communicator::lose_patience(const Operation& operation, Patience::Due due) {
  note_waits_for(operation);
  if (due == Patience::Due::kTimeOut) return timed_out(operation);
  if (session_)
    session_->ask({due == Patience::Due::kReport ? Concern::Why::kLate : Concern::Why::kWaiting,
                   collective_number(operation),
                   {}},
                  patience_.still_ms());
  return {};
}

bool Communicator::judged() const {
  const std::lock_guard lock(lateness_mutex_);
  return !verdict_.text.empty() && verdict_in_ == waits_in_;
}

// Called again and again until somebody is to blame: meanwhile the thread drives other communicators, too.
Status Communicator::timed_out(const Operation& operation) {
  if (session_ && !judged()) {
    if (patience_.ask_last())
      session_->ask({Concern::Why::kWaiting, collective_number(operation), {}}, patience_.still_ms());
    if (patience_.over() < kLateness) return {};
  }
  if (const Status known = failure(); !known.ok()) return known;
  const bool heard = judged();
  const std::lock_guard lock(lateness_mutex_);
  std::string who;
  if (heard)
    who = ": " + verdict_.text;
  else if (!waits_for_.empty())
    who = fmt::format(": rank {} has nothing yet from rank {}", options_.rank, fmt::join(waits_for_, ", "));
  return Status(Code::kRemote, fmt::format("{} was not done within its time-out of {:g} s{}", this_call(),
                                           patience_.limit(), who));
}

std::string Communicator::this_call() const {
  const control::LogbookSection* const section = log();
  const auto newest = section ? control::newest_operation(section->memory()) : std::nullopt;
  return newest ? newest->text() : "the operation";
}

// Whose messages are missing, or who gives no slots back.
void Communicator::note_waits_for(const Operation& operation) {
  std::vector<Rank> ranks;
  if (operation.kind == Operation::Kind::kOneSided) {
    if (operation.next < operation.one_sided.size())
      ranks.push_back(operation.one_sided[operation.next].peer);
  } else {
    const auto is_new = [&](Rank rank) { return std::find(ranks.begin(), ranks.end(), rank) == ranks.end(); };
    for (Rank rank = 0; rank >= 0 && ranks.size() < kMostNamed;) {
      rank = operation.execution->waits_for(is_new);
      if (rank >= 0) ranks.push_back(rank);
    }
  }
  const control::LogbookSection* const section = log();
  const auto newest = section ? control::newest_operation(section->memory()) : std::nullopt;
  const std::lock_guard lock(lateness_mutex_);
  waits_for_ = std::move(ranks);
  waits_in_ = newest ? newest->sequence : 0;
}

// What this rank says when the roll is called; on the control thread, while operations run.
Whereabouts Communicator::whereabouts(std::uint64_t number) const {
  Whereabouts is;
  is.communicator = options_.name.empty() ? fmt::format("communicator {:016x}", session_->number())
                                          : fmt::format("communicator \"{}\"", options_.name);
  const control::LogbookSection* const section = log();
  if (section == nullptr) {
    is.state = Whereabouts::State::kUnknown;
    return is;
  }
  const auto newest = control::newest_operation(section->memory());
  if (!newest) return is;
  const bool inside = newest->state == LoggedOperation::State::kStarted;
  is.state = inside ? Whereabouts::State::kInside : Whereabouts::State::kOutside;
  is.collective = newest->kind == OperationClass::kCollective;
  is.since_ms = milliseconds_since(inside ? newest->started : newest->ended);
  is.call = newest->text();
  is.number = control::newest_number(section->memory(), OperationClass::kCollective);
  const auto asked = number == 0
                         ? std::nullopt
                         : control::find_operation(section->memory(), OperationClass::kCollective, number);
  if (asked) {
    is.asked_signature = asked->stamp;
    is.asked_call = asked->text();
  }
  if (inside) {
    const std::lock_guard lock(lateness_mutex_);
    if (waits_in_ == newest->sequence) is.waits_for = waits_for_;
  }
  return is;
}

// Control knows what the others called; this rank only that it was something else.
Status Communicator::asked_about(const Operation& operation, const Status& mismatch) const {
  if (!session_) return mismatch;
  session_->ask({Concern::Why::kMismatch, collective_number(operation), std::string(mismatch.message())}, 0);
  return better_known(mismatch, kMismatch);
}

// On the control thread, which must not wait for whoever reads stderr: the speaker says it, who waits.
void Communicator::hear(const Verdict& verdict) {
  control::LogbookSection* const section = log();
  const auto newest = section ? control::newest_operation(section->memory()) : std::nullopt;
  if (verdict.text.empty() || !newest || newest->state != LoggedOperation::State::kStarted) return;
  {
    const std::lock_guard lock(lateness_mutex_);
    verdict_ = verdict;
    verdict_in_ = newest->sequence;
  }
  if (!verdict.late) return;
  section->set_late(verdict.text, ticks());
  late_told_.store(true, std::memory_order_seq_cst);
  // It may have ended meanwhile, and found nothing to take back.
  const auto now = control::newest_operation(section->memory());
  if (now && now->sequence == newest->sequence && now->state == LoggedOperation::State::kStarted) {
    if (verdict.speaker == options_.rank) unsaid_.store(true, std::memory_order_release);
  } else {
    late_is_over();
  }
}

void Communicator::late_is_over() {
  if (!late_told_.exchange(false, std::memory_order_seq_cst)) return;
  unsaid_.store(false, std::memory_order_relaxed);
  log()->set_late({}, 0);
}

void Communicator::say_who_is_late() {
  unsaid_.store(false, std::memory_order_relaxed);
  const control::LogbookSection* const section = log();
  const auto newest = section ? control::newest_operation(section->memory()) : std::nullopt;
  const std::lock_guard lock(lateness_mutex_);
  if (!newest || newest->sequence != verdict_in_) return;
  const LogRank rank(options_.rank);
  HANSA_WARN("{}", verdict_.text);
}

}  // namespace hansa
