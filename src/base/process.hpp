// Which process this is, told apart across fork().
#pragma once

#include <cstdint>

namespace hansa {

// A number that changes in a forked child: what was made under another one was inherited and must not be
// used. Costs one read where nothing forked.
std::uint64_t process_generation() noexcept;

}  // namespace hansa
