// Any bytes as what rails say to each other: read or refused, and what is read lies within them and is
// written the same.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "transports/rails/wire.hpp"

namespace {

using namespace hansa;
using namespace hansa::rails;

constexpr std::size_t kMost = 192, kLanes = 4;

void expect(bool holds) {
  if (!holds) abort();
}

void read(BytesView message) {
  std::byte slot[kMost + kRoom + 64] = {};
  if (const auto trailer = unseal(message, kMost)) {
    expect(trailer->bytes <= kMost && trailer->bytes + sizeof(Trailer) <= message.size());
    expect(seal(slot, *trailer) == message.size());
  }
  if (const auto again = read_again(message, kMost, kLanes)) {
    expect(again->lane < kLanes && again->piece.bytes <= message.size());
    expect(write(slot, *again) == message.size());
  }
  if (const auto ask = read_ask(message)) expect(write(slot, *ask) == message.size());
  if (const auto report = read_report(message, kLanes)) {
    expect(write(slot, *report) == message.size());
    expect(std::equal(message.begin(), message.end(), slot));
  }
  if (const auto addresses = split_addresses(message)) {
    std::vector<std::vector<std::byte>> copies;
    for (const BytesView one : *addresses) copies.emplace_back(one.begin(), one.end());
    const auto joined = join_addresses(copies);
    expect(std::equal(message.begin(), message.end(), joined.begin(), joined.end()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView bytes = std::as_bytes(std::span(data, size));
  read(bytes);
  // A message that is almost right: its length is.
  std::vector<std::byte> changed(report_bytes(kLanes));
  std::copy_n(bytes.begin(), std::min(bytes.size(), changed.size()), changed.begin());
  read(changed);
  return 0;
}
