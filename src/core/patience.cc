#include "core/patience.hpp"

#include <algorithm>

namespace hansa {
namespace {

// Healthy ranks that compute for so long between calls are common enough, but the question costs little, and
// calls that differ are to fail within a second.
constexpr double kQuestion = 0.2;

}  // namespace

Patience::Due Patience::look() noexcept {
  const Clock::time_point now = Clock::now();
  const bool first = began_ == Clock::time_point();
  if (first) began_ = now;
  if (first || moved_) still_ = now;
  moved_ = false;
  const auto since = [now](Clock::time_point then) {
    return std::chrono::duration<double>(now - then).count();
  };
  const double took = since(began_), still = since(still_);
  if (limit_ > 0 && took >= limit_) return Due::kTimeOut;
  if (report_ > 0 && still >= report_) {
    report_ *= 2;
    return Due::kReport;
  }
  if (asked_ == 0 && still >= kQuestion) {
    ++asked_;
    return Due::kQuestion;
  }
  // Before the time is over it should be known who is late.
  if (asked_ <= 1 && limit_ > 0 && took >= std::max(limit_ - kQuestion, limit_ / 2)) {
    asked_ = 2;
    return Due::kQuestion;
  }
  return Due::kNothing;
}

}  // namespace hansa
