// Which steps of one rank must not run in either order.
#pragma once

#include "hansa/schedule.hpp"

namespace hansa {

// Whether `later` must wait for `earlier`: one of them writes what the other touches. Input and output
// blocks of one id count as the same bytes (in place, they are).
bool conflict(const Schedule& schedule, const Step& earlier, const Step& later);

}  // namespace hansa
