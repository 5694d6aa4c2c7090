#include "tests/support/cxi_rules/rules.hpp"

#include <cstdio>
#include <cstdlib>

#include "tests/support/cxi_rules/settings.hpp"

namespace hansa::cxi_rules {

int broken(const Rule& rule, const char* call, const std::string& how) {
  std::fprintf(stderr, "cxi_rules: %s breaks rule '%s': %s; on cxi %s\n", call, rule.name, how.c_str(),
               rule.why);
  if (Settings::read().abort) std::abort();
  return -rule.error;
}

}  // namespace hansa::cxi_rules
