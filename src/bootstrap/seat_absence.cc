// What a seat hears of ranks that will not come any more.
#include "bootstrap/seat.hpp"

namespace hansa::bootstrap {

void Seat::note_left(const std::vector<Rank>& ranks) {
  {
    std::lock_guard lock(mutex_);
    for (const Rank rank : ranks) {
      if (static_cast<std::size_t>(rank) >= has_left_.size()) continue;
      has_left_[static_cast<std::size_t>(rank)] = true;
      gone_.push_back(rank);
    }
    changed_.notify_all();
  }
  for (const Rank rank : ranks)
    if (watcher_.left) watcher_.left(rank);
}

void Seat::note_dead(const std::vector<Rank>& ranks, const Status& death) {
  std::lock_guard lock(mutex_);
  for (const Rank rank : ranks) dead_.emplace(rank, death);
}

Status Seat::dead_among(const std::vector<Rank>& ranks) {
  std::lock_guard lock(mutex_);
  for (const Rank rank : ranks)
    if (const auto found = dead_.find(rank); found != dead_.end()) return found->second;
  return {};
}

}  // namespace hansa::bootstrap
