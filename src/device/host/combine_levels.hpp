// Which instruction levels the kernels are compiled for, and what the sources with kernels give each.
// Included before hwy/foreach_target.h.
#pragma once

#include "device/host/combine.hpp"

// Highway would compile more levels than pay; the scalar one stands for every machine without the others.
#define HANSA_NOT_WORTH_IT \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#ifdef HANSA_SANITIZED  // one level of vectors is enough there, and takes long enough
#define HWY_DISABLED_TARGETS (HANSA_NOT_WORTH_IT | HWY_AVX3)
#else
#define HWY_DISABLED_TARGETS HANSA_NOT_WORTH_IT
#endif
// Its emulated vectors are miscompiled by g++ before 12.3.
#define HWY_BROKEN_EMU128 1

// By type, in the order of DataType. The sources that define them are several so that they are compiled at
// once.
#define HANSA_COMBINE_LEVEL(level)                   \
  namespace hansa::level {                           \
  extern const CombineLevel::Functions kIntegers[6]; \
  extern const CombineLevel::Functions kHalf;        \
  extern const CombineLevel::Functions kFloats[2];   \
  extern const CombineLevel::Functions kBfloat;      \
  extern const CombineLevel::Functions kOctets[2];   \
  }
HANSA_COMBINE_LEVEL(N_SCALAR)
HANSA_COMBINE_LEVEL(N_NEON)
HANSA_COMBINE_LEVEL(N_AVX2)
HANSA_COMBINE_LEVEL(N_AVX3)
