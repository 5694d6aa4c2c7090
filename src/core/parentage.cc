#include "core/parentage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

namespace hansa {
namespace {

constexpr std::chrono::milliseconds kLook{20};  // for whether the wait was given up

}  // namespace

std::vector<Seating> seat(const std::vector<SplitWish>& wishes) {
  std::vector<std::size_t> order(wishes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return wishes[a].color != wishes[b].color ? wishes[a].color < wishes[b].color
                                              : wishes[a].key < wishes[b].key;
  });
  std::vector<Seating> places(wishes.size());
  for (std::size_t first = 0, last; first < order.size(); first = last) {
    for (last = first; last < order.size() && wishes[order[last]].color == wishes[order[first]].color;)
      ++last;
    if (wishes[order[first]].color < 0) continue;
    for (std::size_t i = first; i < last; ++i) {
      places[order[i]].rank = static_cast<Rank>(i - first);
      places[order[i]].ranks = static_cast<Rank>(last - first);
    }
  }
  return places;
}

Result<Seating> divide(Session& parent, const SplitWish& wish, const SessionOptions& options) {
  HANSA_ASSIGN_OR_RETURN(const auto said, parent.allgather(std::as_bytes(std::span(&wish, 1))));
  std::vector<SplitWish> wishes(said.size());
  for (std::size_t rank = 0; rank < said.size(); ++rank) {
    if (said[rank].size() != sizeof(SplitWish))
      return Status(Code::kInvalidUsage, fmt::format("rank {} makes another call than ncclCommSplit", rank));
    std::memcpy(&wishes[rank], said[rank].data(), sizeof(SplitWish));
  }
  const auto self = static_cast<std::size_t>(parent.rank());
  std::vector<Seating> places = seat(wishes);
  // The first of each color makes its id, and all exchange them: a rank finds its own by its color.
  std::vector<std::byte> mine;
  Status made;
  if (places[self].rank == 0 && places[self].ranks > 1) {
    const auto id = create_unique_id(options);
    if (id.ok()) mine.assign(id.value().begin(), id.value().end());
    made = id.status();
  }
  HANSA_ASSIGN_OR_RETURN(const auto ids, parent.allgather(mine));
  HANSA_RETURN_IF_ERROR(made);
  Seating& place = places[self];
  for (std::size_t rank = 0; rank < ids.size() && place.ranks > 1; ++rank) {
    if (wishes[rank].color != wish.color || places[rank].rank != 0) continue;
    if (ids[rank].size() != place.id.size())
      return Status(Code::kRemote, fmt::format("rank {} could not make an id for its color", rank));
    std::memcpy(place.id.data(), ids[rank].data(), place.id.size());
  }
  return place;
}

std::uint64_t Queue::enter() {
  const std::scoped_lock lock(mutex_);
  return next_++;
}

bool Queue::await(std::uint64_t ticket, const std::atomic<bool>& cancelled) {
  std::unique_lock lock(mutex_);
  while (serving_ != ticket && !cancelled.load(std::memory_order_acquire)) moved_.wait_for(lock, kLook);
  return serving_ == ticket;
}

void Queue::leave() {
  const std::scoped_lock lock(mutex_);
  ++serving_;
  moved_.notify_all();
}

}  // namespace hansa
