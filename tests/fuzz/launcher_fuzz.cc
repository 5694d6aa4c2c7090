// Everything that a launcher's channel may say: PMI-1 lines, PMI-2 messages, host mappings, pieces of values,
// a store's answers, and both directions of our own hand-out.
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>

#include "bootstrap/launchers/hand_out.hpp"
#include "bootstrap/launchers/key_value.hpp"
#include "bootstrap/launchers/pmi_text.hpp"
#include "bootstrap/launchers/store.hpp"

namespace {

using namespace hansa;
using namespace hansa::bootstrap;

void require(bool holds) {
  if (!holds) abort();
}

void try_mapping(std::string_view text) {
  for (const Rank ranks : {1, 7, 1000}) {
    const auto place = find_local_place(text, ranks / 2, ranks);
    require(!place || (place->rank >= 0 && place->rank < place->ranks && place->ranks <= ranks));
  }
}

// Lines of text as the values of one broadcast.
void try_pieces(std::string_view text) {
  Assembly assembly;
  bool good = true;
  while (good && !assembly.complete() && !text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    good = assembly.add(line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  require(!assembly.complete() || assembly.take().size() <= Launcher::kMostBytes);
}

// The bytes as all that a store says before it hangs up.
void try_store(BytesView bytes) {
  if (bytes.size() > 8192) return;
  int pair[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const control::Descriptor other(pair[1]);
  require(send(other.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  shutdown(other.get(), SHUT_WR);
  Store store{Stream(control::Descriptor(pair[0]))};
  const Deadline deadline = deadline_in(std::chrono::seconds(5));
  if (!store.greet(deadline).ok()) return;
  const auto value = store.wait_and_get("key", 64, deadline);
  require(!value.ok() || value.value().size() <= 64);
  if (value.ok()) (void)store.add("key", 1, deadline);
}

void try_hand_out(BytesView bytes) {
  if (const auto request = parse_hand_out_request(bytes)) {
    const auto same = encode(*request);
    require(same.size() == bytes.size() && std::memcmp(same.data(), bytes.data(), bytes.size()) == 0);
    require(request->rank > 0 && request->rank < request->ranks);
  }
  if (const auto answer = parse_hand_out_answer(bytes)) {
    const auto same = encode(*answer, {});
    require(same.size() == bytes.size() && std::memcmp(same.data(), bytes.data(), bytes.size()) == 0);
    require(answer->verdict != HandOutVerdict::kHere || answer->number <= Launcher::kMostBytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView bytes = std::as_bytes(std::span(data + 1, size - 1));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  switch (data[0] % 7) {
    case 0:
      if (const auto answer = parse_pmi1(text)) require(!answer->command.empty() && text.size() > 4);
      break;
    case 1:
      if (const auto answer = parse_pmi2(text)) require(!answer->command.empty() && text.back() == ';');
      break;
    case 2:
      if (const auto length = parse_pmi2_length(text)) require(*length <= kMostPmi2Bytes && size == 7);
      break;
    case 3:
      try_mapping(text);
      break;
    case 4:
      try_pieces(text);
      break;
    case 5:
      try_store(bytes);
      break;
    default:
      try_hand_out(bytes);
      break;
  }
  return 0;
}
