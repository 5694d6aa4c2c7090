// What the 128 bytes of a unique id say.
#pragma once

#include "base/secret.hpp"
#include "bootstrap/network_address.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {

// Offset  bytes  content
//      0      8  "HANSAID" and the version of this layout (1)
//      8     24  address of the root (NetworkAddress)
//     32     16  communicator, random
//     48     32  secret, random
//     80     16  checksum of all before, against truncation and mixing, not against an enemy
//     96     32  zero
struct Invitation {
  NetworkAddress root;
  std::array<std::byte, 16> communicator{};
  Key secret{};

  // Everything of the communicator is derived from this, so that equal secrets of two ids stay apart.
  Key key() const { return derive(secret, "communicator", {communicator}); }
};

Invitation invite(const NetworkAddress& root);  // with fresh random content
UniqueId to_unique_id(const Invitation& invitation);
// kInvalidArgument with the reason for bytes that no to_unique_id made. Trusts nothing.
Result<Invitation> parse_unique_id(BytesView id);

}  // namespace hansa::bootstrap
