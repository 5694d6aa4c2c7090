// Addresses of the stand-in: as long as cxi's, and no socket's. The real provider's IPv4 address is packed
// into it.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace hansa::cxi_rules {

inline constexpr std::size_t kAddressBytes = 8;
inline constexpr std::uint16_t kAddressMark = 0xc1c1;

struct PackedAddress {
  std::uint32_t ip;
  std::uint16_t port;
  std::uint16_t mark;
};
static_assert(sizeof(PackedAddress) == kAddressBytes);

inline PackedAddress pack(const sockaddr_in& address) {
  return {address.sin_addr.s_addr, address.sin_port, kAddressMark};
}

// False if those bytes are no address from pack().
inline bool unpack(const void* bytes, sockaddr_in& into) {
  PackedAddress packed;
  std::memcpy(&packed, bytes, sizeof packed);
  into = {};
  into.sin_family = AF_INET;
  into.sin_addr.s_addr = packed.ip;
  into.sin_port = packed.port;
  return packed.mark == kAddressMark;
}

}  // namespace hansa::cxi_rules
