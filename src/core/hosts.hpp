// Which ranks are of one host: those that share memory, found by trying.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hansa/types.hpp"

namespace hansa {

// `near[a][b]`: rank a reaches rank b within a host. A label for each rank's host. Ranks are of one host when
// each of them reaches each other, and is reached; where that leaves a choice (a reaches b and c, who do not
// reach each other), lower ranks come first. The same for all who know the same.
std::vector<std::uint32_t> hosts_of(const std::vector<std::vector<bool>>& near);

}  // namespace hansa
