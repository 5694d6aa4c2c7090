// The fixture that all parts of the transport contract share; see transport_contract.hpp.
#pragma once

#include <gtest/gtest.h>

#include "tests/contract/messages.hpp"
#include "tests/contract/rank_group.hpp"

namespace hansa::test {

template <class Kind>
class TransportContract : public testing::Test {
 protected:
  void run(Rank ranks, std::uint16_t lanes, const std::function<void(TestRank&)>& body) {
    run_ranks(
        {.as = Kind::kRunAs, .ranks = ranks, .lanes = lanes, .open = Kind::open, .memory = Kind::memory},
        body);
  }
};
TYPED_TEST_SUITE_P(TransportContract);

}  // namespace hansa::test
