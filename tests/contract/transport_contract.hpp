// What every transport promises, as tests. A transport joins with a few lines:
//
//   INSTANTIATE_TEST_SUITE_P(Mine, TransportContract,
//                            testing::Values(TransportCase{"Threads", RunAs::kThreads, open_mine}),
//                            case_name);
//
// The tests never look at which transport they run over, only at its capabilities.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/contract/messages.hpp"
#include "tests/contract/rank_group.hpp"

namespace hansa::test {

struct TransportCase {
  const char* name;
  RunAs as = RunAs::kThreads;
  OpenTransport open;
  OpenMemory memory = {};
};

inline std::string case_name(const testing::TestParamInfo<TransportCase>& info) { return info.param.name; }

class TransportContract : public testing::TestWithParam<TransportCase> {
 protected:
  static void run(Rank ranks, std::uint16_t lanes, const std::function<void(TestRank&)>& body) {
    const TransportCase& what = GetParam();
    run_ranks({.as = what.as, .ranks = ranks, .lanes = lanes, .open = what.open, .memory = what.memory},
              body);
  }
};

}  // namespace hansa::test
