#pragma once

#include <string>

namespace hansa {

// A network interface of this host.
struct Interface {
  std::string name;
  std::string address;  // numeric IP to bind to
  friend bool operator==(const Interface&, const Interface&) = default;
};

}  // namespace hansa
