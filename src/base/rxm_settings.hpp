// What libfabric's layer over connections (ofi_rxm, as in "tcp;ofi_rxm") does better when told, as data.
// docs/environment.md shows it. Nobody else reads these variables.
#pragma once

#include <span>

namespace hansa {

struct RxmSetting {
  const char* name;
  const char* value;
  const char* why;
};

std::span<const RxmSetting> rxm_settings() noexcept;

}  // namespace hansa
