// How a rank goes, and the others go on, where ranks that know each other meet again: its time is over before
// all have come, or it hears why not all will come, and it may come again. Messages like those of
// messages.hpp.
#pragma once

#include "bootstrap/messages.hpp"

namespace hansa::bootstrap {

struct Withdrawal {
  Rank rank = 0;
  std::uint32_t waited_ms = 0;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Withdrawal* out);
};

// Who a rank would have been, and why it is not. The root's answer to each Withdrawal, unless all had come
// already: then the rank is one of them; and the last word of a rank that cannot come.
struct Dismissal {
  Rank rank = 0;
  Status why;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Dismissal* out);
};

// kRemote: too late to go alone.
Status gave_up(const Process& process);

}  // namespace hansa::bootstrap
