#include "core/patience.hpp"

#include <algorithm>

namespace hansa {
namespace {

// Healthy ranks that compute for so long between calls are common enough, but the question costs little, and
// calls that differ are to fail within a second, also where the one that differs comes late and goes at once.
constexpr double kFirst = 0.2, kAgain = 0.5;

}  // namespace

Patience::Due Patience::look(Clock::time_point now) noexcept {
  const bool first = began_ == Clock::time_point();
  if (first) {
    began_ = now;
    asked_last_ = false;
  }
  if (first || moved_) {
    still_ = now;
    questions_ = 0;
  }
  moved_ = false;
  const auto since = [now](Clock::time_point then) {
    return std::chrono::duration<double>(now - then).count();
  };
  const double took = since(began_), still = since(still_);
  over_ = took - limit_;
  still_ms_ = static_cast<std::uint32_t>(std::min(1000 * still, 1e9));
  if (limit_ > 0 && over_ >= 0) return Due::kTimeOut;
  if (report_ > 0 && still >= report_) {
    report_ *= 2;
    return Due::kReport;
  }
  // Before the time is over it should be known who is late.
  const double question = limit_ > 0 ? std::min(kFirst, limit_ / 3) : kFirst;
  if (still < question + questions_ * kAgain) return Due::kNothing;
  ++questions_;
  return Due::kQuestion;
}

}  // namespace hansa
