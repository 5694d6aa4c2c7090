// Which process this is, told apart across fork().
#pragma once

#include <atomic>
#include <cstdint>

namespace hansa {

// A number that changes in a forked child: what was made under another one was inherited and must not be
// used. Costs one read where nothing forked.
std::uint64_t process_generation() noexcept;

// Holds process_generation() until a fork, and in the child first 0, then another one: for those who look
// often.
const std::atomic<std::uint64_t>& process_generation_word() noexcept;

}  // namespace hansa
