#include "transports/process.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

namespace hansa {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) == sizeof value) return value;
  // A kernel without the call (none that we know): distinct, if not secret.
  static std::atomic<std::uint64_t> calls{0};
  const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return now * 0x9e3779b97f4a7c15u ^ static_cast<std::uint64_t>(getpid()) << 32 ^ calls.fetch_add(1);
}

std::uint64_t process_identity() {
  // The upper half is drawn once and inherited over fork(), the lower is the process's own.
  static const std::uint64_t drawn = random_u64();
  return (drawn << 32) | static_cast<std::uint32_t>(getpid());
}

}  // namespace hansa
