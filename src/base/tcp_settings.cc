#include "base/tcp_settings.hpp"

namespace hansa {

std::span<const TcpSetting> tcp_settings() noexcept {
  static constexpr TcpSetting kSettings[] = {
      {kRxmEagerLimit, "65536",
       "A message of up to so many bytes is sent at once: its receive stands before it flies. Else one of "
       "more than 16 KiB asks its receiver first, which costs two crossings. The same on all ranks."},
      {"FI_OFI_RXM_ENABLE_DIRECT_SEND", "1",
       "Messages leave from where they lie instead of from a copy of the provider's."},
      {"FI_NET_MAX_SAVED", "0",
       "The provider net keeps short messages that match no receive, by a way that version 1.17 has mistakes "
       "in. Here every message has one."},
  };
  return kSettings;
}

}  // namespace hansa
