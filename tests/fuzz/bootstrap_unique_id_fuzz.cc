// Any bytes as a unique id; those with a right checksum come back the same.
#include <cstdlib>
#include <cstring>

#include "bootstrap/unique_id.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  using namespace hansa::bootstrap;
  if (!prepare_cryptography().ok()) abort();
  const BytesView bytes = std::as_bytes(std::span(data, size));
  const auto parsed = parse_unique_id(bytes);
  if (parsed.ok() && std::memcmp(to_unique_id(parsed.value()).data(), bytes.data(), bytes.size()) != 0)
    abort();

  // The checksum keeps random bytes away from what lies behind it, so make a right one around them.
  if (size < 72) return 0;
  ByteReader reader(bytes);
  Invitation invitation;
  invitation.meeting = std::to_integer<int>(bytes.back()) % 2 == 1;
  invitation.root = NetworkAddress::read(&reader);
  reader.copy(&invitation.communicator);
  reader.copy(&invitation.secret);
  if (!reader.ok()) return 0;
  const auto again = parse_unique_id(to_unique_id(invitation));
  if (!again.ok() || to_unique_id(again.value()) != to_unique_id(invitation)) abort();
  return 0;
}
