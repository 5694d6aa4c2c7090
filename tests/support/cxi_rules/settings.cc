#include "tests/support/cxi_rules/settings.hpp"

#include <cstdlib>

namespace hansa::cxi_rules {
namespace {

// As the provider has it: FI_CXI_DEFAULT_TX_SIZE goes up to this.
constexpr std::size_t kLongestQueue = 16384;

const char* variable(const char* name, const char* standard) {
  const char* const value = std::getenv(name);
  return value == nullptr ? standard : value;
}

std::uint64_t number(const char* name, std::uint64_t standard) {
  const char* const value = std::getenv(name);
  return value == nullptr ? standard : std::strtoull(value, nullptr, 0);
}

}  // namespace

Settings Settings::read() {
  return {.library = variable("CXI_RULES_LIBRARY", CXI_RULES_LIBFABRIC),
          .address = variable("CXI_RULES_ADDRESS", "127.0.0.1"),
          .rnr = number("CXI_RULES_RNR", 0) != 0,
          .local = number("CXI_RULES_LOCAL", 0) != 0,
          .unbound = number("CXI_RULES_UNBOUND", 0) != 0,
          .lockable = number("CXI_RULES_LOCKABLE", 0),
          .seed = number("CXI_RULES_SEED", 0),
          .queue = number("CXI_RULES_QUEUE", kLongestQueue),
          .unexpected = number("CXI_RULES_UNEXPECTED", 8),
          .fail = number("CXI_RULES_FAIL", 0),
          .network = number("CXI_RULES_NETWORK", 0) != 0,
          .abort = number("CXI_RULES_ABORT", 0) != 0};
}

}  // namespace hansa::cxi_rules
