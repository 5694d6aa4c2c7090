// The table of algorithms. A new one is a file of its own here, which defines
// `std::span<const Algorithm> NAME()` in hansa::algorithms, and one line below. Earlier families are
// preferred where a collective has several and nothing better is known.
#include <vector>

#include "hansa/algorithm.hpp"

#define HANSA_FAMILIES(FAMILY) \
  FAMILY(direct)               \
  FAMILY(two_shot)             \
  FAMILY(exchange)             \
  FAMILY(circulant)            \
  FAMILY(double_tree)          \
  FAMILY(knomial)              \
  FAMILY(linear)               \
  FAMILY(bruck)                \
  FAMILY(pairwise)             \
  FAMILY(ring)                 \
  FAMILY(hierarchical)

namespace hansa {
namespace algorithms {
#define HANSA_DECLARE(name) std::span<const Algorithm> name();
HANSA_FAMILIES(HANSA_DECLARE)
#undef HANSA_DECLARE
}  // namespace algorithms

std::span<const Algorithm> builtin_algorithms() {
  static const std::vector<Algorithm> kRows = [] {
    std::vector<Algorithm> rows;
    const auto append = [&](std::span<const Algorithm> family) {
      rows.insert(rows.end(), family.begin(), family.end());
    };
#define HANSA_APPEND(name) append(algorithms::name());
    HANSA_FAMILIES(HANSA_APPEND)
#undef HANSA_APPEND
    return rows;
  }();
  return kRows;
}

}  // namespace hansa
