// Any bytes as the file that HANSA_TOPOLOGY names: a file of groups, or an error with a line in it.
#include <cstdlib>
#include <string_view>

#include "topology/topology_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  const auto file = TopologyFile::parse({reinterpret_cast<const char*>(data), size});
  if (file.ok()) {
    if (file.value().group_of("no such host")) abort();
  } else if (file.status().message().empty() || file.status().code() != Code::kInvalidUsage) {
    abort();
  }
  return 0;
}
