// Any bytes, and our own address with some of its bytes changed, as the address of a peer over shared memory:
// refused or connected, within the time that it may take.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "device/host/host_memory.hpp"
#include "transports/shm/shm.hpp"

namespace {

using namespace hansa;

Transport& transport() {
  static HostMemory* const memory = new HostMemory;
  static Transport* const opened = [] {
    TransportOptions options;
    options.ranks = 2;
    options.memory = memory;
    options.patience = std::chrono::milliseconds(1);
    auto result = open_shm(options, SlotShape{64, 2});
    if (!result.ok()) abort();
    return std::move(result).value().release();
  }();
  return *opened;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::byte> own = transport().address();
  if (size < 1) return 0;
  const BytesView bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 2) {
    case 0:
      if (transport().connect(1, bytes).ok()) abort();
      break;
    default: {
      std::vector<std::byte> changed = own;
      for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
        changed[std::to_integer<std::size_t>(bytes[i]) % changed.size()] ^= bytes[i + 1];
      (void)transport().connect(static_cast<Rank>(data[0] / 2 % 2), changed);
    }
  }
  return 0;
}
