// Any bytes as what a rank says of its addresses; what parses has exactly the rows that were asked for.
#include <cstdlib>

#include "core/connections.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  if (size == 0) return 0;
  const std::size_t rows = data[0] % 8;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const auto parsed = parse_addresses(bytes, rows);
  if (!parsed.ok()) return 0;
  if (parsed.value().size() != rows) abort();
  const auto again = encode_addresses(parsed.value());
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) abort();
  return 0;
}
