// How long a communicator has been waiting in the operation it runs, and what is due: asking the others what
// they do, telling the user who is late, giving up. Used by whoever moves the operation on.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

namespace hansa {

class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Due : std::uint8_t { kNothing, kQuestion, kReport, kTimeOut };

  // In seconds. A report is due when nothing has moved for `report` seconds, and again each time after twice
  // as long; 0: never. The operation as a whole may take `limit`; 0: forever.
  void begin(double report, double limit) noexcept {
    polls_ = 0;
    began_ = {};
    report_ = report;
    limit_ = limit;
    questions_ = 0;
  }
  // To be called whenever the operation was looked at and is not done.
  Due poll(bool moved) noexcept {
    moved_ = moved_ || moved;
    return ++polls_ % kLookEvery != 0 ? Due::kNothing : look(Clock::now());
  }
  // What is due at that time; of several, the gravest.
  Due look(Clock::time_point now) noexcept;
  double limit() const noexcept { return limit_; }
  // Milliseconds that nothing had moved when last looked at.
  std::uint32_t still_ms() const noexcept { return still_ms_; }
  // Seconds beyond the limit when last looked at.
  double over() const noexcept { return over_; }
  // True once for each operation.
  bool ask_last() noexcept { return !std::exchange(asked_last_, true); }

 private:
  // Polls between looks at the clock: some microseconds of spinning, some milliseconds of napping.
  static constexpr std::uint32_t kLookEvery = 64;

  std::uint32_t polls_ = 0;
  int questions_ = 0;
  bool moved_ = false, asked_last_ = false;
  Clock::time_point began_{};  // the first look
  Clock::time_point still_{};  // the last that saw something move
  double report_ = 0, limit_ = 0, over_ = 0;
  std::uint32_t still_ms_ = 0;
};

}  // namespace hansa
