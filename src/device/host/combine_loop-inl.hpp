// The one loop of all combine kernels. Included once per instruction level, inside Highway's include scheme.
#if defined(HANSA_COMBINE_LOOP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_LOOP_INL
#undef HANSA_COMBINE_LOOP_INL
#else
#define HANSA_COMBINE_LOOP_INL
#endif

#include <cstring>
#include <type_traits>

#include "device/host/combine_kinds-inl.hpp"
#include "hansa/device.hpp"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

template <class Kind>
void run_unit(const CombineCall& call, std::size_t at, std::byte* to);

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

  // From where the lead is aligned to a vector, because stores that cross lines cost twice where the lines
  // come from another core. What lies before, and what is left over, are parts of whole units that overlap
  // the loop's. They are computed before anything is written, because a destination may be a source.
  template <bool kStream>
  HWY_INLINE void run(const CombineCall& call) const {
    const std::size_t end = call.elements * Kind::kElement;
    const std::size_t start = can_align() ? (Kind::kUnit - address(lead_) % Kind::kUnit) % Kind::kUnit : 0;
    const std::size_t left_over = (end - start) % Kind::kUnit, whole = end - left_over;
    alignas(64) std::byte first[Kind::kUnit], last[Kind::kUnit];
    if (start > 0) run_unit<Kind>(call, 0, first);
    if (left_over > 0) run_unit<Kind>(call, end - Kind::kUnit, last);
    steps<kStream>(call, start, whole);
    if (left_over > 0) write(whole, last + Kind::kUnit - left_over, left_over);
    if (start > 0) write(0, first, kStream ? start : Kind::kUnit);
    if constexpr (kStream) hwy::FlushStream();
  }

  // One unit of two sources into one destination.
  HWY_INLINE void two() const {
    Value sum = kind_.load(sources_[0]);
    kind_.combine(sum, kind_.load(sources_[1]));
    put<false>(typename Kind::Out(), kind_.finish(sum), destinations_[0]);
  }

  // One or two units, which then overlap.
  HWY_INLINE void pair(std::size_t bytes) const {
    Result result[2];
    gather(0, bytes - Kind::kUnit, result);
    for (std::size_t d = 0; d < fan_out_; ++d) scatter<false>(destinations_[d], bytes - Kind::kUnit, result);
  }

  // The unit at `at`, for whoever writes it.
  HWY_INLINE void unit(std::size_t at, std::byte* to) const {
    Result result[1];
    gather(at, 0, result);
    scatter<false>(to, 0, result);
  }

  // Less than a unit: by way of a padded one.
  HWY_INLINE void padded(std::size_t bytes) const {
    std::byte unit[Kind::kUnit] = {};
    std::memcpy(unit, sources_[0], bytes);
    Value sum[1], value[1];
    read(unit, 0, 0, sum);
    for (std::size_t source = 1; source < fan_in_; ++source) {
      std::memcpy(unit, sources_[source], bytes);
      read(unit, 0, source, value);
      kind_.combine(sum[0], value[0]);
    }
    put<false>(typename Kind::Out(), kind_.finish(sum[0]), unit);
    write(0, unit, bytes);
  }

 private:
  using Value = typename Kind::Value;
  using Result = hn::Vec<typename Kind::Out>;
  static constexpr std::size_t kStep = Kind::kUnroll * Kind::kUnit, kLine = 64;

  HWY_INLINE std::uintptr_t address(std::size_t destination, std::size_t at = 0) const {
    return reinterpret_cast<std::uintptr_t>(destinations_[destination] + at);
  }

  // Whole lines are written past the caches, and what lies before and after them is not: no line is written
  // in both ways.
  template <bool kStream>
  HWY_INLINE void steps(const CombineCall& call, std::size_t at, std::size_t end) const {
    if constexpr (kStream) {
      static_assert(kStep % kLine == 0);
      for (; Kind::kUnit < kLine && at < end && address(lead_, at) % kLine > 0; at += Kind::kUnit) {
        alignas(64) std::byte before[Kind::kUnit];
        run_unit<Kind>(call, at, before);
        write(at, before, Kind::kUnit);
      }
    }
    for (; at + kStep <= end; at += kStep) step<kStream, Kind::kUnroll>(at);
    if constexpr (kStream || Kind::kUnroll > 1)
      for (; at < end; at += Kind::kUnit) step<false, 1>(at);
  }

  template <bool kStream, std::size_t kUnits>
  HWY_INLINE void step(std::size_t at) const {
    Result result[kUnits];
    gather(at, Kind::kUnit, result);
    for (std::size_t d = 0; d < fan_out_; ++d) {
      if (kStream && address(d) % Kind::kUnit == address(lead_) % Kind::kUnit)
        scatter<true>(destinations_[d] + at, Kind::kUnit, result);
      else
        scatter<false>(destinations_[d] + at, Kind::kUnit, result);
    }
  }

  // Units lie `stride` apart.
  template <std::size_t kUnits>
  HWY_INLINE void gather(std::size_t at, std::size_t stride, Result (&result)[kUnits]) const {
    Value sum[kUnits], value[kUnits];
    read(sources_[0] + at, stride, 0, sum);
    for (std::size_t source = 1; source < fan_in_; ++source) {
      read(sources_[source] + at, stride, source, value);
      for (std::size_t u = 0; u < kUnits; ++u) kind_.combine(sum[u], value[u]);
    }
    for (std::size_t u = 0; u < kUnits; ++u) result[u] = kind_.finish(sum[u]);
  }

  template <std::size_t kUnits>
  HWY_INLINE void read(const std::byte* from, std::size_t stride, std::size_t source,
                       Value (&value)[kUnits]) const {
    if constexpr (Kind::kScales) {
      if (factors_[source].scales()) {
        const auto times = kind_.times(factors_[source]);
        for (std::size_t u = 0; u < kUnits; ++u) value[u] = kind_.load(from + u * stride, times);
        return;
      }
    }
    for (std::size_t u = 0; u < kUnits; ++u) value[u] = kind_.load(from + u * stride);
  }

  template <bool kStream, std::size_t kUnits>
  HWY_INLINE void scatter(std::byte* to, std::size_t stride, const Result (&result)[kUnits]) const {
    for (std::size_t u = 0; u < kUnits; ++u) put<kStream>(typename Kind::Out(), result[u], to + u * stride);
  }

  HWY_INLINE void write(std::size_t at, const std::byte* unit, std::size_t bytes) const {
    for (std::size_t d = 0; d < fan_out_; ++d) std::memcpy(destinations_[d] + at, unit, bytes);
  }

  const Kind kind_;
  const std::byte* const* const sources_;
  std::byte* const* const destinations_;
  const std::size_t fan_in_, fan_out_;
  const std::size_t lead_;       // the destination that is brought to alignment
  const Factor* const factors_;  // by source, where the Kind scales
};

// Not inlined, and with a loop of its own: it is called at most a few times a call.
template <class Kind>
HWY_NOINLINE void run_unit(const CombineCall& call, std::size_t at, std::byte* to) {
  Loop<Kind>(call).unit(at, to);
}

template <class Kind>
void run_cached(const CombineCall& call) {
  Loop<Kind>(call).template run<false>(call);
}

// Streaming stores need alignment; a destination that is aligned differently is not streamed.
template <class Kind>
void run_streamed(const CombineCall& call) {
  const Loop<Kind> loop(call);
  if (!loop.can_align()) return run_cached<Kind>(call);
  loop.template run<true>(call);
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

// Up to two vectors: the largest vector that fits, twice.
template <class Kinds, std::size_t kBytes = kVector>
CombineFunction choose_short(const CombineCall& call) {
  using Kind = typename Kinds::template Of<kBytes>;
  const std::size_t bytes = call.elements * Kind::kElement;
#if HWY_TARGET == HWY_SCALAR
  if (bytes >= Kind::kUnit) return run_cached<Kind>;
#else
  if constexpr (!Kind::kScales) {
    if (bytes == Kind::kUnit && call.sources.size() == 2 && call.destinations.size() == 1)
      return run_two<Kind>;
  }
  if (bytes >= Kind::kUnit) return run_pair<Kind>;
#endif
  if constexpr (kBytes > Kinds::kLeast)
    return choose_short<Kinds, kBytes / 2>(call);
  else
    return run_padded<Kind>;
}

template <class Kinds>
CombineFunction choose_long(const CombineCall& call) {
  using Kind = typename Kinds::template Of<kVector>;
  if constexpr (Kinds::kStreams) {
    if (call.streams >= 0) return run_streamed<Kind>;
  }
  return run_cached<Kind>;
}

template <class Kinds>
CombineFunction choose(const CombineCall& call) {
  using Kind = typename Kinds::template Of<kVector>;
  if (call.elements <= 2 * Kind::kUnit / Kind::kElement) return choose_short<Kinds>(call);
  return choose_long<Kinds>(call);
}

// Sums whose sources may be multiplied. Tabled: where a table of all products pays, for one factor and long
// calls.
template <class Plain, class Scaled, class Tabled = Scaled>
CombineFunction choose_sum(const CombineCall& call) {
  if (call.factors.empty()) return choose<Plain>(call);
  if constexpr (!std::is_same_v<Tabled, Scaled>) {
    if (call.elements >= Tabled::kWorthIt && one_factor(call)) return choose_long<Tabled>(call);
  }
  return choose<Scaled>(call);
}

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
