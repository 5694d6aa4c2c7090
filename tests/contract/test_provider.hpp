#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>

namespace hansa::test {

// The provider of libfabric that a run of these tests is about: HANSA_TEST_PROVIDER, a comma for a semicolon;
// empty: the best there is.
inline std::string test_provider() {
  const char* const set = std::getenv("HANSA_TEST_PROVIDER");
  std::string name = set == nullptr ? "" : set;
  std::replace(name.begin(), name.end(), ',', ';');
  return name;
}

}  // namespace hansa::test
