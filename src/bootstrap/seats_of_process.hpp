// The seats of this process. A forked child drops its copies of sessions; these references keep it from
// closing what the parent's seats own.
#pragma once

#include <memory>
#include <set>

namespace hansa::bootstrap {

class Seat;

struct SeatsOfProcess {
  std::set<std::shared_ptr<Seat>> seats;
};

}  // namespace hansa::bootstrap
