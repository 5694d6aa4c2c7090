// Executions by what they are for, the most recent ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "executor/execution.hpp"

namespace hansa {

template <class Key>
class PlanShelf {
 public:
  // Holds so many; then the one that was not used for longest goes.
  explicit PlanShelf(std::size_t most) : most_(most) {}

  // Null if there is none. `asked` is whatever a key can be compared with.
  template <class Asked>
  Execution* find(const Asked& asked) {
    for (Entry& entry : entries_) {
      if (!(entry.key == asked)) continue;
      entry.used = ++clock_;
      return entry.execution.get();
    }
    return nullptr;
  }

  bool full() const { return entries_.size() == most_; }
  Execution* put(Key key, std::unique_ptr<Execution> execution) {
    if (full())
      entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                      [](const Entry& a, const Entry& b) { return a.used < b.used; }));
    entries_.push_back({std::move(key), ++clock_, std::move(execution)});
    return entries_.back().execution.get();
  }

 private:
  struct Entry {
    Key key;
    std::uint64_t used;
    std::unique_ptr<Execution> execution;
  };
  std::size_t most_;
  std::uint64_t clock_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace hansa
