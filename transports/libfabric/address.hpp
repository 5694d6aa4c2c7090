// Where a rank listens, as other ranks are told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa::libfabric {

// The numeric IP address to bind to. `interface` is its name or one of its addresses; empty: the loopback
// interface, which reaches the ranks of this host only but is always there.
Result<std::string> resolve_interface(std::string_view interface);

// The fabric's device behind the interface with that numeric address ("cxi1" for hsn1's), as /sys names it;
// empty where there is none.
std::string fabric_device(std::string_view numeric);

// Whether only this host (more exactly: this network namespace) reaches the numeric IP address.
bool is_loopback(std::string_view numeric);

// Equal on two ranks if and only if they see the same loopback interface.
std::uint64_t loopback_identity();

// Providers of one name understand each other.
std::uint32_t provider_identity(std::string_view name);

// What travels over the bootstrap.
struct Address {
  std::uint64_t loopback = 0;  // loopback_identity() where only this host reaches it, else 0
  std::uint32_t slot_bytes = 0;
  std::uint32_t slots = 0;
  std::uint64_t communicator = 0;
  std::uint64_t port = 0;  // random: a port opened anew may have the name of one before it
  std::uint16_t lanes = 0;
  std::uint32_t provider = 0;      // hash of its name
  std::uint16_t number = 0;        // the receiver's in tags of messages to this rank
  std::uint8_t sender = 0;         // the sender's in tags of messages from it
  std::uint8_t freight_lanes = 0;  // on which it takes messages without slots
  std::uint32_t eager_limit = 0;   // Library's, of a provider that has one
  std::vector<std::byte> name;     // the provider's own, from fi_getname()

  std::vector<std::byte> encode() const;
  // Of bytes that a stranger may have sent. kInvalidArgument where they are no such address.
  static Result<Address> decode(BytesView bytes);
};

}  // namespace hansa::libfabric
