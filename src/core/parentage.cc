#include "core/parentage.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

#include "base/fault_point.hpp"

namespace hansa {
namespace {

constexpr std::chrono::milliseconds kLook{20};  // for whether the wait was given up

using Said = std::vector<std::vector<std::byte>>;

Result<Seating> divide(Session& meeting, const Said& said, const SplitWish& wish,
                       const std::string& occasion) {
  std::vector<SplitWish> wishes(said.size());
  for (std::size_t rank = 0; rank < said.size(); ++rank) {
    if (said[rank].size() != sizeof(SplitWish))
      return Status(Code::kInvalidUsage, fmt::format("rank {} makes another call than ncclCommSplit", rank));
    std::memcpy(&wishes[rank], said[rank].data(), sizeof(SplitWish));
  }
  const std::vector<Seating> places = seat(wishes);
  Seating place = places[static_cast<std::size_t>(meeting.rank())];
  if (place.ranks < 2) return place;
  Rank first = 0;
  for (Rank rank = 0; rank < meeting.ranks(); ++rank) {
    if (wishes[static_cast<std::size_t>(rank)].color != wish.color) continue;
    place.kin.push_back(rank);
    if (places[static_cast<std::size_t>(rank)].rank == 0) first = rank;
  }
  if (fault_point(Point::kSplitPlaced)) return made_to_fail();
  const std::string name = fmt::format("{} color {}", occasion, wish.color);
  HANSA_ASSIGN_OR_RETURN(place.id, meeting.reunion(first, std::as_bytes(std::span(name))));
  place.root_may_be_late = true;
  return place;
}

Result<Seating> grow(Session* parent, const GrowWish& wish) {
  Seating place{{}, parent ? parent->rank() : 0, wish.ranks};
  Said said(1);
  if (wish.id) said.front().assign(wish.id->begin(), wish.id->end());
  if (parent) {
    HANSA_ASSIGN_OR_RETURN(said, parent->allgather(said.front()));
  }
  Rank givers = 0;
  for (const auto& id : said) {
    if (id.empty()) continue;
    if (id.size() != place.id.size())
      return Status(Code::kInvalidUsage, "another rank makes another call than ncclCommGrow");
    std::memcpy(place.id.data(), id.data(), id.size());
    ++givers;
  }
  if (givers == 1) return place;
  return Status(
      Code::kInvalidUsage,
      fmt::format(
          "{} ranks passed a unique id to ncclCommGrow: exactly one of the old ones must, the one that "
          "called ncclCommGetUniqueId",
          givers));
}

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

Descent::Ticket::Ticket(Descent& descent) : descent_(descent) {
  const std::scoped_lock lock(descent_.mutex_);
  number_ = descent_.next_++;
}

Descent::Ticket::~Ticket() {
  const std::scoped_lock lock(descent_.mutex_);
  descent_.passed_over_.insert(number_);
  while (descent_.passed_over_.erase(descent_.serving_) > 0) ++descent_.serving_;
  descent_.moved_.notify_all();
}

bool Descent::Ticket::await(const std::atomic<bool>& cancelled) {
  std::unique_lock lock(descent_.mutex_);
  while (descent_.serving_ != number_ && !cancelled.load(std::memory_order_acquire))
    descent_.moved_.wait_for(lock, kLook);
  return descent_.serving_ == number_;
}

// The same on all ranks that took part in every occasion of this name which came about: a Shrink that failed
// because lists differed is tried again under the same number.
std::string Descent::numbered(const std::string& occasion) {
  const std::scoped_lock lock(mutex_);
  return fmt::format("{} {}", occasion, occasions_[occasion]);
}

void Descent::remember(const std::string& occasion) {
  const std::scoped_lock lock(mutex_);
  ++occasions_[occasion];
}

Result<Seating> Descent::place(Session* parent, const Wish& wish, const SessionOptions& options) {
  if (const auto* grow_wish = std::get_if<GrowWish>(&wish)) return grow(parent, *grow_wish);
  const auto* split_wish = std::get_if<SplitWish>(&wish);
  if (parent == nullptr) return Seating{{}, split_wish && split_wish->color < 0 ? -1 : 0, 1};
  return split_wish ? split(*parent, *split_wish, options) : shrink(*parent, std::get<ShrinkWish>(wish));
}

Result<Seating> Descent::split(Session& parent, const SplitWish& wish, const SessionOptions& options) {
  const std::string occasion = "split", name = numbered(occasion);
  if (fault_point(Point::kSplitBegin)) return made_to_fail();
  const BytesView mine = std::as_bytes(std::span(&wish, 1));
  const auto said = parent.allgather(mine);
  if (said.ok()) {
    remember(occasion);  // on all ranks, whatever becomes of each color
    return divide(parent, said.value(), wish, name);
  }
  if (options.cancelled && options.cancelled->load(std::memory_order_acquire)) return said.status();
  // Where the parent has failed its ranks meet anew; where it has not, nobody else would come.
  if (parent.failure().ok()) return said.status();
  if (fault_point(Point::kSplitAnew)) return made_to_fail();
  const std::string meeting = name + " anew";
  HANSA_ASSIGN_OR_RETURN(const UniqueId id, parent.reunion(0, std::as_bytes(std::span(meeting))));
  SessionOptions patient = options;
  patient.root_may_be_late = true;
  std::vector<Rank> all(static_cast<std::size_t>(parent.ranks()));
  std::iota(all.begin(), all.end(), 0);
  patient.bereaved = [&parent, all] { return parent.dead_among(all); };
  auto met = join(id, parent.rank(), parent.ranks(), patient);
  if (!met.ok())
    return met.status().within("the ranks of a communicator that has failed meet again to split it");
  HANSA_ASSIGN_OR_RETURN(const Said again, met.value()->allgather(mine));
  remember(occasion);
  return divide(*met.value(), again, wish, name);
}

Result<Seating> Descent::shrink(Session& parent, const ShrinkWish& wish) {
  if (fault_point(Point::kShrinkBegin)) return made_to_fail();
  Seating place{{}, 0, parent.ranks() - static_cast<Rank>(wish.excluded.size())};
  const auto stays = [&](Rank rank) {
    return !std::binary_search(wish.excluded.begin(), wish.excluded.end(), rank);
  };
  for (Rank rank = 0; rank < parent.ranks(); ++rank)
    if (stays(rank)) place.kin.push_back(rank);
  place.rank = static_cast<Rank>(std::lower_bound(place.kin.begin(), place.kin.end(), parent.rank()) -
                                 place.kin.begin());
  place.occasion = fmt::format("shrink without {}", fmt::join(wish.excluded, ","));
  const std::string name = numbered(place.occasion);
  if (place.ranks < 2) return Seating{{}, 0, 1, false, {}};
  HANSA_ASSIGN_OR_RETURN(place.id, parent.reunion(place.kin.front(), std::as_bytes(std::span(name))));
  place.root_may_be_late = true;
  if (fault_point(Point::kShrinkPlaced)) return made_to_fail();
  return place;
}

}  // namespace hansa
