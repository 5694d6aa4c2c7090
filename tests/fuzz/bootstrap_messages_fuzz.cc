// Any bytes as each message; those that parse are what encode() makes of the result.
#include <cstdlib>
#include <cstring>

#include "bootstrap/messages.hpp"
#include "bootstrap/roll.hpp"
#include "bootstrap/withdrawal.hpp"

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

constexpr void (*kSimple[])(BytesView) = {
    try_as<Registration>, try_as<Entry>,         try_as<Welcome>,  try_as<Assignment>, try_as<Attachment>,
    try_as<Neighbours>,   try_as<Lateness>,      try_as<Absence>,  try_as<Failure>,    try_as<Introduction>,
    try_as<Admission>,    try_as<RaisedConcern>, try_as<RollCall>, try_as<Withdrawal>, try_as<Dismissal>};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView bytes = std::as_bytes(std::span(data + 1, size - 1));
  const std::size_t kind = data[0] % (std::size(kSimple) + 3);
  if (kind < std::size(kSimple)) {
    kSimple[kind](bytes);
    return 0;
  }
  switch (kind - std::size(kSimple)) {
    case 0: {
      Presence presence;
      if (Presence::parse(bytes, 64, &presence)) same(presence.encode(), bytes);
      break;
    }
    case 1: {
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
