// Any bytes as each message; those that parse are what encode() makes of the result.
#include <cstdlib>
#include <cstring>

#include "bootstrap/messages.hpp"
#include "bootstrap/roll.hpp"

namespace {

using namespace hansa;
using namespace hansa::bootstrap;

void same(const std::vector<std::byte>& encoded, BytesView bytes) {
  if (encoded.size() != bytes.size() || std::memcmp(encoded.data(), bytes.data(), bytes.size()) != 0) abort();
}

template <class T>
void try_as(BytesView bytes) {
  T message;
  if (T::parse(bytes, &message)) same(message.encode(), bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 17) {
    case 0:
      try_as<Registration>(bytes);
      break;
    case 1:
      try_as<Entry>(bytes);
      break;
    case 2:
      try_as<Welcome>(bytes);
      break;
    case 3:
      try_as<Assignment>(bytes);
      break;
    case 4:
      try_as<Attachment>(bytes);
      break;
    case 5:
      try_as<Neighbours>(bytes);
      break;
    case 6:
      try_as<Lateness>(bytes);
      break;
    case 7:
      try_as<Absence>(bytes);
      break;
    case 8:
      try_as<Failure>(bytes);
      break;
    case 9:
      try_as<Introduction>(bytes);
      break;
    case 10:
      try_as<Admission>(bytes);
      break;
    case 13:
      try_as<RaisedConcern>(bytes);
      break;
    case 14:
      try_as<RollCall>(bytes);
      break;
    case 15: {
      Presence presence;
      if (Presence::parse(bytes, 64, &presence)) same(presence.encode(), bytes);
      break;
    }
    case 16: {
      Verdict verdict;
      if (parse_verdict(bytes, 64, &verdict)) same(encode_verdict(verdict), bytes);
      break;
    }
    default: {
      std::uint64_t sequence = 0;
      std::vector<Contribution> list;
      if (parse_contributions(bytes, data[0] % 64, &sequence, &list))
        same(encode_contributions(sequence, list), bytes);
      break;
    }
  }
  return 0;
}
