#include "transports/shm/ferry.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/shared_memory.hpp"

namespace hansa::shm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeadBytes = 64;

// Line by line: libc's copy would use `rep movsb`, which crawls on lines of another core's cache. `kStream`:
// past the caches. `to` is aligned to lines.
template <bool kStream>
void copy_lines(std::byte* to, const std::byte* from, std::size_t bytes) {
  std::size_t at = 0;
#ifdef __SSE2__
  constexpr std::size_t kLine = 64, kVector = 16;
  for (; at + kLine <= bytes; at += kLine)
    for (std::size_t v = 0; v < kLine; v += kVector) {
      const __m128i vector = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at + v));
      auto* const place = reinterpret_cast<__m128i*>(to + at + v);
      if constexpr (kStream)
        _mm_stream_si128(place, vector);
      else
        _mm_store_si128(place, vector);
    }
  if constexpr (kStream) _mm_sfence();
#endif
  std::memcpy(to + at, from + at, bytes - at);
}

template <class Copy>
std::chrono::nanoseconds best_time(const Copy& copy) {
  auto best = std::chrono::nanoseconds::max();
  for (int round = 0; round < 5; ++round) {
    const auto start = Clock::now();
    copy();
    best = std::min<std::chrono::nanoseconds>(best, Clock::now() - start);
  }
  return best;
}

}  // namespace

Ferry::Ferry(std::byte* incoming, std::byte* outgoing, const Layout& layout, StoreGauge stores)
    : layout_(layout), stores_(stores), incoming_(incoming), outgoing_(outgoing) {}

bool Ferry::ready() noexcept {
  if (backed_) return true;
  const auto backed = back_mapping(outgoing_ + layout_.ferry_at(), layout_.bytes() - layout_.ferry_at());
  return backed_ = backed.ok() && backed.value();
}

void Ferry::offer(BytesView memory) noexcept {
  const auto same = [memory](BytesView one) {
    return one.data() == memory.data() && one.size() == memory.size();
  };
  for (std::size_t i = 0; i < kRecent; ++i)
    if (same(offers_[(last_offer_ - i) % kOffers])) return;
  offers_[++last_offer_ % kOffers] = memory;
}

bool Ferry::offered(std::uint64_t address, std::uint64_t bytes) const noexcept {
  for (std::size_t i = 0; i < kOffers; ++i) {  // the latest is the likeliest
    const BytesView offer = offers_[(last_offer_ - i) % kOffers];
    const auto begin = reinterpret_cast<std::uintptr_t>(offer.data());
    if (address >= begin && address - begin <= offer.size() && bytes <= offer.size() - (address - begin))
      return true;
  }
  return false;
}

void Ferry::get(std::uint64_t address, Bytes into, Completion& done) noexcept {
  asking_ = {Kind::kAsk, address, into.size()};
  getting_ = {into.data(), address, into.size(), &done};
  poll();
}

void Ferry::put(std::uint64_t address, BytesView from, Completion& done) noexcept {
  putting_ = {const_cast<std::byte*>(from.data()), address, from.size(), &done};
  poll();
}

std::byte* Ferry::cell(std::byte* region, std::uint64_t number) const noexcept {
  return region + layout_.ferry_at() + number % layout_.ferry_cells * Layout::kFerryStride;
}

bool Ferry::poll() noexcept {
  if (stopped_ || failed_) return false;
  const bool taken = arrived();
  if (taken) take();
  return give() || taken;
}

void Ferry::take() noexcept {
  const std::byte* const from = cell(incoming_, taken_);
  Head head;
  std::memcpy(&head, from, sizeof head);  // once: the peer may change it
  failed_ = !accept(head, from + kHeadBytes);
  layout_.unloaded(incoming_).store(++taken_, std::memory_order_release);
}

bool Ferry::accept(const Head& head, const std::byte* payload) noexcept {
  if (head.kind == Kind::kAsk) {
    if (asked_.left > 0 || !offered(head.address, head.bytes)) return false;
    asked_ = {reinterpret_cast<std::byte*>(head.address), head.address, head.bytes, nullptr};
    return true;
  }
  if (head.bytes > Layout::kFerryCell) return false;
  if (head.kind == Kind::kBring) {
    if (!offered(head.address, head.bytes)) return false;
    std::memcpy(reinterpret_cast<std::byte*>(head.address), payload, head.bytes);
    return true;
  }
  if (head.kind != Kind::kAnswer || head.bytes > getting_.left) return false;
  std::memcpy(getting_.at, payload, head.bytes);
  getting_.at += head.bytes;
  getting_.left -= head.bytes;
  if (getting_.left == 0) getting_.done->state = Completion::State::kDone;
  return true;
}

bool Ferry::give() noexcept {
  const bool anything = asking_.bytes > 0 || asked_.left > 0 || putting_.left > 0;
  if (!anything || failed_) return false;
  if (!ready()) {
    failed_ = true;
    return false;
  }
  if (!fits()) {
    released_ = layout_.unloaded(outgoing_).load(std::memory_order_acquire);
    if (!fits()) return false;
  }
  turn_ = !turn_;
  if (asking_.bytes > 0) {
    std::memcpy(cell(outgoing_, filled_), &asking_, sizeof asking_);
    asking_.bytes = 0;
  } else if (asked_.left > 0 && (putting_.left == 0 || turn_)) {
    ship(Kind::kAnswer, asked_);
  } else {
    ship(Kind::kBring, putting_);
  }
  layout_.ferried(outgoing_).store(++filled_, std::memory_order_release);
  return true;
}

void Ferry::ship(Kind kind, Work& work) noexcept {
  const std::size_t bytes = std::min<std::size_t>(work.left, Layout::kFerryCell);
  const Head head{kind, work.address, bytes};
  std::byte* const to = cell(outgoing_, filled_);
  std::memcpy(to, &head, sizeof head);
  fill(to + kHeadBytes, work.at, bytes);
  work.at += bytes;
  work.address += bytes;
  work.left -= bytes;
  if (work.left == 0 && work.done != nullptr) work.done->state = Completion::State::kDone;
}

void Ferry::fill(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  if (stores_.streams()) {
    copy_lines<true>(to, from, bytes);
    return stores_.filled(bytes, {});
  }
  const bool timed = stores_.wants_time() && bytes == Layout::kFerryCell;
  const auto start = timed ? Clock::now() : Clock::time_point();
  copy_lines<false>(to, from, bytes);
  stores_.filled(bytes, timed ? Clock::now() - start : std::chrono::nanoseconds(0));
}

bool single_copy_is_dear() {
  constexpr std::size_t kBytes = 64 * 1024;
  std::vector<std::byte> from(kBytes), to(kBytes);
  const iovec there{from.data(), kBytes}, here{to.data(), kBytes};
  bool copied = true;
  const auto kernel = best_time(
      [&] { copied = copied && process_vm_readv(getpid(), &here, 1, &there, 1, 0) == ssize_t{kBytes}; });
  const auto plain = best_time([&] {
    std::memcpy(to.data(), from.data(), kBytes);
    asm volatile("" : : "r"(to.data()) : "memory");
  });
  return !copied || kernel > 3 * plain;
}

}  // namespace hansa::shm
