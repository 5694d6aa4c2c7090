// Which of a host's interfaces a rank had better use.
#pragma once

#include <sched.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hansa/interface.hpp"

namespace hansa {

// The cores of a list like "0-3,8,10-11", as the kernel writes it; none where it is anything else.
cpu_set_t cores_of(std::string_view list);

// The place in `rails` of one that is attached to the socket on which this thread may run, as /sys says; of
// any where it may run on several, or none is. `place` of this rank among those of its host tells them apart.
std::uint32_t nearest_rail(std::span<const Interface> rails, std::uint32_t place,
                           const std::string& sysfs = "/sys");

}  // namespace hansa
