#include "transports/shm/ferry.hpp"

#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/fault_point.hpp"
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

Ferry::Ferry(Rank peer, std::byte* incoming, std::byte* outgoing, const Layout& layout, StoreGauge stores)
    : peer_(peer), layout_(layout), stores_(stores), incoming_(incoming), outgoing_(outgoing) {}

bool Ferry::ready() noexcept {
  if (backed_) return backed_->ok();
  const auto backed = back_mapping(outgoing_ + layout_.ferry_at(), layout_.bytes() - layout_.ferry_at());
  backed_ = backed.ok() && !backed.value()
                ? Status(Code::kUnsupported, "the kernel backs no mapping with memory (5.14 does)")
                : backed.status();
  return backed_->ok();
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

bool Ferry::get(std::uint64_t address, Bytes into, Completion& done) noexcept {
  if (gets_.full()) return false;
  asking_ = asking_ || gets_.empty();
  gets_.add({into.data(), address, into.size(), &done});
  poll();
  return true;
}

bool Ferry::put(std::uint64_t address, BytesView from, Completion& done) noexcept {
  if (puts_.full()) return false;
  puts_.add({const_cast<std::byte*>(from.data()), address, from.size(), &done});
  poll();
  return true;
}

std::byte* Ferry::cell(std::byte* region, std::uint64_t number) const noexcept {
  return region + layout_.ferry_at() + number % layout_.ferry_cells * Layout::kFerryStride;
}

bool Ferry::poll() noexcept {
  if (stopped_ || !failure_.ok()) return false;
  const bool taken = arrived();
  if (taken) take();
  return give() || taken;
}

void Ferry::take() noexcept {
  const std::byte* const from = cell(incoming_, taken_);
  Head head;
  std::memcpy(&head, from, sizeof head);  // once: the peer may change it
  if (const char* const wrong = accept(head, from + kHeadBytes))
    failure_ = Status(Code::kDamaged, fmt::format("rank {} {}", peer_, wrong));
  layout_.unloaded(incoming_).store(++taken_, std::memory_order_release);
}

const char* Ferry::accept(const Head& head, const std::byte* payload) noexcept {
  if (head.kind == Kind::kAsk) {
    if (asked_.left > 0) return "asked for memory before it was answered";
    if (!offered(head.address, head.bytes)) return "asked for memory that was not offered to it";
    asked_ = {reinterpret_cast<std::byte*>(head.address), head.address, head.bytes, nullptr};
    return nullptr;
  }
  if (head.bytes > Layout::kFerryCell) return "sent a cell that holds more than cells can";
  if (head.kind == Kind::kBring) {
    if (!offered(head.address, head.bytes)) return "brought bytes to memory that was not offered to it";
    std::memcpy(reinterpret_cast<std::byte*>(head.address), payload, head.bytes);
    (void)fault_point(Point::kFerryBrought);
    return nullptr;
  }
  if (head.kind != Kind::kAnswer) return "sent a cell of no kind";
  Work& getting = gets_.first();
  if (gets_.empty() || asking_ || head.bytes > getting.left) return "sent bytes that it was not asked for";
  std::memcpy(getting.at, payload, head.bytes);
  getting.at += head.bytes;
  getting.left -= head.bytes;
  if (getting.left > 0) {
    (void)fault_point(Point::kFerryGot);
  } else {
    gets_.finish();
    asking_ = !gets_.empty();
  }
  return nullptr;
}

bool Ferry::give() noexcept {
  const bool anything = asking_ || asked_.left > 0 || !puts_.empty();
  if (!anything || !failure_.ok()) return false;
  if (!ready()) {
    failure_ = backed_->within(fmt::format("no memory to answer rank {} in", peer_));
    return false;
  }
  if (!fits()) {
    released_ = layout_.unloaded(outgoing_).load(std::memory_order_acquire);
    if (!fits()) return false;
  }
  turn_ = !turn_;
  if (asking_) {
    ask();
  } else if (asked_.left > 0 && (puts_.empty() || turn_)) {
    ship(Kind::kAnswer, asked_);
  } else {
    ship(Kind::kBring, puts_.first());
    if (puts_.first().left == 0) puts_.finish();
  }
  return true;
}

// One at a time, so that who is asked need remember one only.
void Ferry::ask() noexcept {
  Head head{Kind::kAsk, gets_.first().address, gets_.first().left};
  if (fault_point(Point::kFerryAsk)) head.address = 0;
  std::memcpy(cell(outgoing_, filled_), &head, sizeof head);
  layout_.ferried(outgoing_).store(++filled_, std::memory_order_release);
  asking_ = false;
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
  layout_.ferried(outgoing_).store(++filled_, std::memory_order_release);
  if (work.left > 0) (void)fault_point(kind == Kind::kAnswer ? Point::kFerryAnswer : Point::kFerryBring);
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
