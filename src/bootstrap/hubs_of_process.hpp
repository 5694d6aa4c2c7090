// Keeps the hubs of this process alive. Lives in EventLoop::local().
#pragma once

#include <memory>
#include <set>

namespace hansa::bootstrap {

class Hub;

struct HubsOfProcess {
  std::set<std::shared_ptr<Hub>> hubs;
};

}  // namespace hansa::bootstrap
