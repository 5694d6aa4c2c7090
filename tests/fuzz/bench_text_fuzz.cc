// Any bytes as what users write for benchmarks (sizes, splits, traffic matrices): taken or refused, never an
// absurd number.
#include <cstdlib>

#include "tools/bench/text.cc"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa::bench;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = parse_size(text); bytes.ok() && bytes.value() > std::size_t{1} << 62) abort();
  for (const auto& split : {parse_split(text), parse_split_mask(text)})
    if (split.ok() && split.value().color(5) < 0) abort();
  if (const auto matrix = parse_matrix(text, 1.5); matrix.ok()) {
    if (matrix.value().bytes.size() != matrix.value().n * matrix.value().n || matrix.value().n == 0) abort();
    for (const std::size_t bytes : matrix.value().bytes)
      if (bytes % 16 != 0 || bytes > std::size_t{1} << 46) abort();
  }
  return 0;
}
