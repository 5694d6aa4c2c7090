// What libfabric's providers over TCP do better when told, as data.
// docs/environment.md shows it. Nobody else reads these variables.
#pragma once

#include <cstdint>
#include <span>

namespace hansa {

// The one of them that both ends must have alike, and what the provider has without.
inline constexpr char kRxmEagerLimit[] = "FI_OFI_RXM_EAGER_LIMIT";
inline constexpr std::uint32_t kRxmEagerDefault = 16384;

struct TcpSetting {
  const char* name;
  const char* value;
  const char* why;
};

std::span<const TcpSetting> tcp_settings() noexcept;

}  // namespace hansa
