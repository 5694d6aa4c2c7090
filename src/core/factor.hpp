// Scalars as callers pass them.
#pragma once

#include "hansa/device.hpp"
#include "hansa/types.hpp"

namespace hansa {

// The element of `type` at `address`, which need not be aligned, as a factor.
Factor read_factor(DataType type, const void* address);

}  // namespace hansa
