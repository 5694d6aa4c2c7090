// The words that text and picture share.
#pragma once

#include <string>

#include "hansa/schedule.hpp"

namespace hansa {

std::string words_for(const Blocks& blocks, std::uint32_t modulus);
std::string words_for(const Operand& operand, const Schedule& schedule);
std::string words_for(const Step& step, const Schedule& schedule);

}  // namespace hansa
