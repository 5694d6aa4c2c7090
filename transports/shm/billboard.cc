#include "transports/shm/billboard.hpp"

#include "base/log.hpp"
#include "transports/shm/endpoint.hpp"

namespace hansa::shm {
namespace {

// Of one kibibyte, also into memory of the rank's own beside it: more than it takes to get that back from
// cores that share a cache, less than from others.
constexpr std::chrono::nanoseconds kSlowKib{200};

}  // namespace

OwnBillboard::OwnBillboard(Inbox& inbox)
    : inbox_(inbox), takers_(inbox.layout().shape.count), stores_(kSlowKib) {}

void OwnBillboard::join(std::uint32_t place, ShmEndpoint& endpoint) {
  if (endpoints_.size() <= place) endpoints_.resize(place + 1);
  endpoints_[place] = &endpoint;
  ++joined_;
  for (auto& takers : takers_) takers.reserve(joined_);
}

void OwnBillboard::leave(std::uint32_t place) {
  for (auto& takers : takers_)
    std::erase_if(takers, [&](const Taker& one) { return one.reader.place == place && has_released(one); });
  endpoints_[place] = nullptr;
}

bool OwnBillboard::has_released(const Taker& taker) const {
  ShmEndpoint* const endpoint = endpoints_[taker.reader.place];
  return endpoint != nullptr && endpoint->is_released(taker.reader.lane, taker.message);
}

std::uint32_t OwnBillboard::slot_of(std::uint64_t post) const {
  return static_cast<std::uint32_t>(post) & (inbox_.layout().shape.count - 1);
}

bool OwnBillboard::is_free(std::uint64_t post) {
  std::vector<Taker>& takers = takers_[slot_of(post)];
  while (!takers.empty() && has_released(takers.back())) takers.pop_back();
  return takers.empty();
}

std::byte* OwnBillboard::reserve(std::uint32_t ahead) noexcept {
  const Layout& layout = inbox_.layout();
  if (slots_ == nullptr) [[unlikely]] {
    if (refused_) return nullptr;
    const auto memory = inbox_.back_board();
    refused_ = !memory.ok();
    if (refused_) {
      HANSA_WARN(
          "no memory for what several ranks of this host get alike, so each gets a copy of its own: {}",
          memory.status().message());
      return nullptr;
    }
    slots_ = memory.value();
  }
  while (posted_ + ahead - freed_ >= layout.shape.count) {
    if (!is_free(freed_)) return nullptr;
    ++freed_;
  }
  if (ahead == 0 && stores_.wants_time()) {
    filling_ = Clock::now();
    took_ = {};
  } else if (ahead == 1 && filling_ != Clock::time_point() && took_ == Clock::duration::zero()) {
    took_ = Clock::now() - filling_;
  }
  return slots_ + slot_of(posted_ + ahead) * layout.board_stride();
}

void OwnBillboard::commit(std::span<const Reader> readers, std::uint32_t bytes,
                          std::uint32_t stamp) noexcept {
  const std::uint32_t slot = slot_of(posted_);
  if (bytes >= Capabilities::kLeastStreamed) {
    if (filling_ != Clock::time_point() && took_ == Clock::duration::zero()) took_ = Clock::now() - filling_;
    stores_.filled(bytes, took_);
  }
  filling_ = {};
  took_ = {};
  for (const Reader& reader : readers)
    takers_[slot].push_back({reader, endpoints_[reader.place]->post(reader.lane, slot, bytes, stamp)});
  ++posted_;
}

std::size_t OwnBillboard::streams_from() const noexcept {
  return stores_.streams() ? Capabilities::kLeastStreamed : SIZE_MAX;
}

}  // namespace hansa::shm
