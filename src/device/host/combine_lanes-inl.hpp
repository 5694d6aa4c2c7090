// Vectors of so many bytes, and how they are read and written. Included once per instruction level, inside
// Highway's include scheme.
#if defined(HANSA_COMBINE_LANES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HANSA_COMBINE_LANES_INL
#undef HANSA_COMBINE_LANES_INL
#else
#define HANSA_COMBINE_LANES_INL
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hansa {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The bytes of a whole vector.
constexpr std::size_t kVector = hn::MaxLanes(hn::ScalableTag<std::uint8_t>());

// How many units a loop has in hand, where there are vectors: without, code for every machine is to be short.
constexpr std::size_t unroll(std::size_t units) { return HWY_TARGET == HWY_SCALAR ? 1 : units; }

// Vectors of kBytes, or of one lane where the machine has no vectors.
template <class T, std::size_t kBytes>
using Tag = hn::CappedTag < T,
      kBytes<sizeof(T) ? 1 : kBytes / sizeof(T)>;

template <class D>
HWY_INLINE hn::Vec<D> get(D d, const std::byte* from) {
  return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(from));
}

template <bool kStream, class D, class V>
HWY_INLINE void put(D d, V v, std::byte* to) {
  auto* const lanes = reinterpret_cast<hn::TFromD<D>*>(to);
  if constexpr (kStream)
    hn::Stream(v, d, lanes);
  else
    hn::StoreU(v, d, lanes);
}

}  // namespace HWY_NAMESPACE
}  // namespace hansa
HWY_AFTER_NAMESPACE();

#endif
