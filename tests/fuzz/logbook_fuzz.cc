// Any words in a logbook's memory, as another process may have written them: read or left out.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "control/flight_dump.hpp"

namespace {

std::byte* make_memory() {
  using namespace hansa::control;
  void* const memory = mmap(nullptr, kLogbookBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) abort();
  auto& header = *static_cast<LogbookHeader*>(memory);
  header.magic = kLogbookMagic;
  header.version = kLogbookVersion;
  header.section_bytes = kSectionBytes;
  header.records = kRecords;
  header.counter = hansa::kHasCounter ? 1 : 0;
  header.readable[0] = 1;
  return static_cast<std::byte*>(memory);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa::control;
  static std::byte* const memory = make_memory();
  std::byte* const section = memory + kSectionsAt;
  std::memset(section, 0, kSectionBytes);
  std::memcpy(section, data, std::min(size, kSectionBytes));
  const auto process = read_logbook(memory, kLogbookBytes);
  if (!process.ok()) abort();
  for (const LoggedCommunicator& one : process.value().communicators)
    if (one.rank < 0 || one.rank >= one.ranks || one.operations.size() > kRecords) abort();
  for (const FlightDump& dump : flight_dumps(process.value(), 1, ""))
    if (dump.json.empty()) abort();
  return 0;
}
