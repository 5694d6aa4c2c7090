#include "core/patience.hpp"

namespace hansa {
namespace {

// Healthy ranks that compute for so long between calls are common enough, but the question costs little, and
// calls that differ are to fail within a second.
constexpr double kQuestion = 0.2;

}  // namespace

Patience::Due Patience::look() noexcept {
  const Clock::time_point now = Clock::now();
  if (began_ == Clock::time_point()) {
    began_ = now;
    return Due::kNothing;
  }
  const double waited = std::chrono::duration<double>(now - began_).count();
  if (limit_ > 0 && waited >= limit_) return Due::kTimeOut;
  // Before the time is over it should be known who is late.
  const double question = limit_ > 0 && limit_ < 2 * kQuestion ? limit_ / 2 : kQuestion;
  if (asked_ == 0 && waited >= question) {
    ++asked_;
    return Due::kQuestion;
  }
  if (report_ > 0 && waited >= report_) {
    report_ = 2 * waited;
    return Due::kReport;
  }
  if (asked_ == 1 && limit_ > 0 && waited >= limit_ - kQuestion) {
    ++asked_;
    return Due::kQuestion;
  }
  return Due::kNothing;
}

}  // namespace hansa
