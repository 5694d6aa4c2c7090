// The one loop of all combine kernels. Included once per instruction level, inside Highway's include scheme.
#if defined(HANSA_COMBINE_LOOP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_LOOP_INL
#undef HANSA_COMBINE_LOOP_INL
#else
#define HANSA_COMBINE_LOOP_INL
#endif

#include <cstring>

#include "device/host/combine_narrow-inl.hpp"
#include "hansa/device.hpp"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

// All of it is inlined into the functions at the end, so that what the loop needs stays in registers.
template <class Kind>
class Loop {
 public:
  explicit HWY_INLINE Loop(const CombineCall& call)
      : kind_(call),
        sources_(call.sources.data()),
        destinations_(call.destinations.data()),
        fan_in_(call.sources.size()),
        fan_out_(call.destinations.size()),
        lead_(call.streams < 0 ? fan_out_ - 1 : static_cast<std::size_t>(call.streams)),
        factors_(call.factors.data()) {}

  // Elements at multiples of their size can be brought to a vector's alignment.
  HWY_INLINE bool can_align() const { return address(lead_) % Kind::kElement == 0; }

  // Stores that cross lines cost twice where the lines come from another core.
  HWY_INLINE void cached(std::size_t bytes) const {
    if (can_align())
      aligned<false>(bytes);
    else
      ragged<false>(0, bytes);
  }

  // Streaming stores need alignment; a destination that is aligned differently is not streamed.
  HWY_INLINE void streamed(std::size_t bytes) const {
    aligned<true>(bytes);
    hwy::FlushStream();
  }

  // One unit of two sources into one destination.
  HWY_INLINE void two() const {
    Value sum = read(sources_[0], 0);
    kind_.combine(sum, read(sources_[1], 1));
    kind_.template store<false>(sum, destinations_[0]);
  }

  // One or two units, which then overlap.
  HWY_INLINE void pair(std::size_t bytes) const {
    Value sum[2];
    gather(0, bytes - Kind::kUnit, sum);
    for (std::size_t d = 0; d < fan_out_; ++d) scatter<false>(destinations_[d], bytes - Kind::kUnit, sum);
  }

  // Less than a unit: by way of a padded one.
  HWY_INLINE void padded(std::size_t bytes) const {
    std::byte unit[Kind::kUnit] = {};
    std::memcpy(unit, sources_[0], bytes);
    Value sum = read(unit, 0);
    for (std::size_t source = 1; source < fan_in_; ++source) {
      std::memcpy(unit, sources_[source], bytes);
      kind_.combine(sum, read(unit, source));
    }
    kind_.template store<false>(sum, unit);
    write(0, unit, bytes);
  }

 private:
  using Value = typename Kind::Value;
  static constexpr std::size_t kStep = Kind::kUnroll * Kind::kUnit, kLine = 64;

  HWY_INLINE std::uintptr_t address(std::size_t destination, std::size_t at = 0) const {
    return reinterpret_cast<std::uintptr_t>(destinations_[destination] + at);
  }

  // From where the lead is aligned: to a vector, or to a line where it is written past the caches, so that no
  // line is written in both ways. What lies before, and what is left over, are parts of whole units that
  // overlap the loop's. They are computed before anything is written, because a destination may be a source.
  template <bool kStream>
  HWY_INLINE void aligned(std::size_t bytes) const {
    const std::size_t skipped = (Kind::kUnit - address(lead_) % Kind::kUnit) % Kind::kUnit;
    alignas(64) std::byte first[Kind::kUnit] = {};
    if (skipped > 0) keep(0, first);
    ragged<kStream>(skipped, bytes);
    if (skipped > 0) write(0, first, kStream ? skipped : Kind::kUnit);
  }

  template <bool kStream>
  HWY_INLINE void ragged(std::size_t at, std::size_t end) const {
    const std::size_t left_over = (end - at) % Kind::kUnit, whole = end - left_over;
    alignas(64) std::byte last[Kind::kUnit] = {};
    if (left_over > 0) keep(end - Kind::kUnit, last);
    if constexpr (kStream) {
      for (; at < whole && address(lead_, at) % kLine > 0; at += Kind::kUnit) step<false, 1>(at);
      const std::size_t lines = whole - (whole - at) % kLine;
      for (; at + kStep <= lines; at += kStep) step<true, Kind::kUnroll>(at);
      for (; at < lines; at += Kind::kUnit) step<true, 1>(at);
    }
    for (; at + kStep <= whole; at += kStep) step<false, Kind::kUnroll>(at);
    for (; at < whole; at += Kind::kUnit) step<false, 1>(at);
    if (left_over > 0) write(whole, last + Kind::kUnit - left_over, left_over);
  }

  template <bool kStream, std::size_t kUnits>
  HWY_INLINE void step(std::size_t at) const {
    Value sum[kUnits];
    gather(at, Kind::kUnit, sum);
    for (std::size_t d = 0; d < fan_out_; ++d) {
      if (kStream && address(d) % Kind::kUnit == address(lead_) % Kind::kUnit)
        scatter<true>(destinations_[d] + at, Kind::kUnit, sum);
      else
        scatter<false>(destinations_[d] + at, Kind::kUnit, sum);
    }
  }

  // Units lie `stride` apart.
  template <std::size_t kUnits>
  HWY_INLINE void gather(std::size_t at, std::size_t stride, Value (&sum)[kUnits]) const {
    for (std::size_t u = 0; u < kUnits; ++u) sum[u] = read(sources_[0] + at + u * stride, 0);
    for (std::size_t source = 1; source < fan_in_; ++source) {
      const std::byte* const from = sources_[source] + at;
      for (std::size_t u = 0; u < kUnits; ++u) kind_.combine(sum[u], read(from + u * stride, source));
    }
  }

  HWY_INLINE Value read(const std::byte* from, std::size_t source) const {
    Value value = kind_.load(from);
    if constexpr (Kind::kScales) {
      if (factors_ != nullptr && factors_[source].scales()) kind_.scale(value, factors_[source]);
    }
    return value;
  }

  template <bool kStream, std::size_t kUnits>
  HWY_INLINE void scatter(std::byte* to, std::size_t stride, const Value (&sum)[kUnits]) const {
    for (std::size_t u = 0; u < kUnits; ++u) kind_.template store<kStream>(sum[u], to + u * stride);
  }

  HWY_INLINE void keep(std::size_t at, std::byte* unit) const {
    Value sum[1];
    gather(at, 0, sum);
    scatter<false>(unit, 0, sum);
  }

  HWY_INLINE void write(std::size_t at, const std::byte* unit, std::size_t bytes) const {
    for (std::size_t d = 0; d < fan_out_; ++d) std::memcpy(destinations_[d] + at, unit, bytes);
  }

  const Kind kind_;
  const std::byte* const* const sources_;
  std::byte* const* const destinations_;
  const std::size_t fan_in_, fan_out_;
  const std::size_t lead_;       // the destination that is brought to alignment
  const Factor* const factors_;  // by source; null: none
};

template <class Kind>
void run_cached(const CombineCall& call) {
  Loop<Kind>(call).cached(call.elements * Kind::kElement);
}

template <class Kind>
void run_streamed(const CombineCall& call) {
  const Loop<Kind> loop(call);
  if (!loop.can_align()) return loop.cached(call.elements * Kind::kElement);
  loop.streamed(call.elements * Kind::kElement);
}

template <class Kind>
void run_two(const CombineCall& call) {
  Loop<Kind>(call).two();
}

template <class Kind>
void run_pair(const CombineCall& call) {
  Loop<Kind>(call).pair(call.elements * Kind::kElement);
}

template <class Kind>
void run_padded(const CombineCall& call) {
  Loop<Kind>(call).padded(call.elements * Kind::kElement);
}

// Of calls that multiply nothing.
template <class Kind>
class Unscaled : public Kind {
 public:
  static constexpr bool kScales = false;
  explicit HWY_INLINE Unscaled(const CombineCall& call) : Kind(call) {}
};

// Up to two vectors: the largest vector that fits, twice.
template <class Kinds, std::size_t kBytes = kVector>
CombineFunction choose_short(const CombineCall& call) {
  using Kind = typename Kinds::template Of<kBytes>;
  const std::size_t bytes = call.elements * Kind::kElement;
  if constexpr (Kind::kScales) {
    if (bytes >= Kind::kUnit && !call.factors.empty()) return run_pair<Kind>;
  }
  const bool two = call.sources.size() == 2 && call.destinations.size() == 1;
  if (bytes == Kind::kUnit && two) return run_two<Unscaled<Kind>>;
  if (bytes >= Kind::kUnit) return run_pair<Unscaled<Kind>>;
  if constexpr (kBytes > Kinds::kLeast)
    return choose_short<Kinds, kBytes / 2>(call);
  else
    return run_padded<Kind>;
}

template <class Kinds>
CombineFunction choose(const CombineCall& call) {
  using Kind = typename Kinds::template Of<kVector>;
  if (call.elements <= 2 * Kind::kUnit / Kind::kElement) return choose_short<Kinds>(call);
  if constexpr (Kinds::kStreams) {
    if (call.streams >= 0) return run_streamed<Kind>;
  }
  return run_cached<Kind>;
}

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
