// docs/environment.md, made from the table of settings.
#pragma once

#include <string>

namespace hansa::tools {

// The whole page, the same on every machine whatever is set there.
std::string environment_page();

}  // namespace hansa::tools
