// What sites tell users of Slingshot to set by hand for collectives, as data. docs/environment.md shows it.
#pragma once

#include <span>

namespace hansa {

struct SlingshotSetting {
  const char* name;
  const char* value;
  const char* why;
  const char* source;  // who says so
};

std::span<const SlingshotSetting> slingshot_settings() noexcept;

}  // namespace hansa
