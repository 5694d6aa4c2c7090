// What the 128 bytes of a unique id say.
#pragma once

#include "base/secret.hpp"
#include "bootstrap/network_address.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {

// Offset  bytes  content
//      0      8  "HANSAID" and the version of this layout: 1, or 2 for a meeting point
//      8     24  address of the root (NetworkAddress); of the meeting point
//     32     16  communicator, random; zero for a meeting point
//     48     32  secret, random; derived from what all processes know for a meeting point
//     80     16  checksum of all before, against truncation and mixing, not against an enemy
//     96     32  zero
//
// At a meeting point (NCCL_COMM_ID) every process makes the same id by itself. The process of rank 0 serves
// there, and tells those who come an invitation of the ordinary kind, of the same secret, whose root it
// serves: see Usher.
struct Invitation {
  bool meeting = false;  // `root` is a meeting point
  NetworkAddress root;
  std::array<std::byte, 16> communicator{};
  Key secret{};

  // Everything of the communicator is derived from this, so that equal secrets of two ids stay apart.
  Key key() const { return derive(secret, "communicator", {communicator}); }
};

Invitation invite(const NetworkAddress& root);  // with fresh random content
// To a meeting point; all who pass the same two arguments get the same.
Invitation invite_to_meeting(const NetworkAddress& place, std::string_view secret);
// An ordinary one, of the same secret, for one communicator of those who meet there.
Invitation invite_from_meeting(const Invitation& meeting, const NetworkAddress& root);
UniqueId to_unique_id(const Invitation& invitation);
// kInvalidArgument with the reason for bytes that no to_unique_id made. Trusts nothing.
Result<Invitation> parse_unique_id(BytesView id);

}  // namespace hansa::bootstrap
