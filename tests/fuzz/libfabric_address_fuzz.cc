// Any bytes as a libfabric address; those that decode come back the same.
#include <algorithm>
#include <cstdlib>

#include "transports/libfabric/address.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  const BytesView bytes = std::as_bytes(std::span(data, size));
  const auto decoded = libfabric::Address::decode(bytes);
  if (!decoded.ok()) return 0;
  const auto again = decoded.value().encode();
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) abort();
  return 0;
}
