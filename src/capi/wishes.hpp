// What a program asks of a communicator through ncclConfig_t.
#pragma once

#include <string>

#include "hansa/status.hpp"
#include "nccl.h"

namespace hansa {

struct Wishes {
  bool blocking = true;
  std::string name;     // commName
  std::string network;  // of transports/builtin.cc; empty: the best
};

// Reads a configuration of any version of NCCL from 2.14 to 2.32: as many bytes as the caller says it has,
// and of them only the fields that its version knows, because later versions put fields where earlier ones
// had padding. Fields left undefined keep what `inherited` has; NULL is all undefined. kInvalidArgument for
// bytes that no initializer made and for values out of range.
Result<Wishes> read_wishes(const ncclConfig_t* config, const Wishes& inherited);

// What ncclCollConfig_t asks of one call, by the same rules; NULL is a plain call. Only judged: no field of
// it means anything in host mode but an algorithm, which cannot be chosen per call and is refused where
// forced.
Status check_wishes(const ncclCollConfig_t* config);

}  // namespace hansa
