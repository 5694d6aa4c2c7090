// NCCL_COMM_ID: where all ranks meet, as users write it.
#pragma once

#include <string>
#include <string_view>

#include "bootstrap/network_address.hpp"

namespace hansa::bootstrap {

struct Place {
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;
};

// "host:port", "10.0.0.1:port" or "[fd00::1]:port". kInvalidArgument for anything else. Pure.
Result<Place> parse_place(std::string_view text);

// The first address of the place's host, of the family if it is 4 or 6. Asks the system's resolver, which may
// block.
Result<NetworkAddress> resolve(const Place& place, int family);

// The word that HANSA_SECRET stands for: itself, or the first line of the file after @, which must be its
// owner's alone to write. kInvalidUsage or kSystem where there is no such file: never a silent empty word.
Result<std::string> read_secret(const std::string& setting);

}  // namespace hansa::bootstrap
