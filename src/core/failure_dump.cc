#include "core/failure_dump.hpp"

#include <unistd.h>

#include <exception>
#include <thread>

#include "base/config.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "control/flight_dump.hpp"
#include "core/factory.hpp"

namespace hansa {
namespace {

Status write_dump(const std::string& reason) {
  HANSA_ASSIGN_OR_RETURN(const control::LoggedProcess process, control::read_logbook(logbook().file()));
  return control::write_flight_dumps(control::flight_dumps(process, getpid(), reason), config().dump);
}

}  // namespace

void FailureDump::start(std::string_view reason) noexcept try {
  if (config().dump.empty()) return;
  const std::scoped_lock lock(mutex_);
  wanted_ = true;
  reason_ = reason;
  if (running_) return;
  const SignalsBlocked in_the_thread;
  try {
    std::thread([this] { write_all(); }).detach();
    running_ = true;
  } catch (const std::system_error&) {
    wanted_ = false;
    HANSA_WARN("nothing is written to HANSA_DUMP={}: a thread cannot be started", config().dump);
  }
} catch (const std::exception&) {
  // Out of memory: there is worse to tell of.
}

void FailureDump::write_all() noexcept {
  std::unique_lock lock(mutex_);
  while (std::exchange(wanted_, false)) try {
      const std::string reason = std::exchange(reason_, std::string());
      lock.unlock();
      const Status status = write_dump(reason);
      if (!status.ok()) HANSA_WARN("nothing is written to HANSA_DUMP: {}", status.message());
      lock.lock();
    } catch (const std::exception& error) {
      HANSA_WARN("nothing is written to HANSA_DUMP={}: {}", config().dump, error.what());
      lock.lock();
    }
  running_ = false;
  done_.notify_all();
}

void FailureDump::await(std::chrono::milliseconds patience) noexcept {
  std::unique_lock lock(mutex_);
  done_.wait_for(lock, patience, [this] { return !running_; });
}

}  // namespace hansa
