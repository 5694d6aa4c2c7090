// Any bytes as the value of each environment variable: taken or complained of, and never an absurd number.
#include <cmath>
#include <cstdlib>
#include <string>

#include "base/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  if (size == 0) return 0;
  const Setting& setting = settings()[data[0] % settings().size()];
  const std::string value(reinterpret_cast<const char*>(data + 1), size - 1);
  std::vector<std::string> complaints;
  const Config config = read_config(
      [&](const char* name) { return std::string_view(name) == setting.name ? value.c_str() : nullptr; },
      complaints);
  for (const double seconds : {config.init_timeout, config.timeout, config.late_report})
    if (!(seconds >= 0 && seconds <= 1e9)) abort();
  if (config.port_range.first > config.port_range.last) abort();
  return 0;
}
