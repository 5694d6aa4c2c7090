// All hubs, or all seats, of this process; lives in EventLoop::local(). It keeps them alive, also from a
// forked child's dropping its copies of sessions, which would close what the parent owns.
#pragma once

#include <memory>
#include <set>

namespace hansa::bootstrap {

template <class T>
struct OfProcess {
  std::set<std::shared_ptr<T>> all;
};

}  // namespace hansa::bootstrap
