// Two ranks, of which one is treated badly.
#pragma once

#include <vector>

#include "nccl_ranks.hpp"

namespace hansa::test {

inline constexpr std::size_t kCount = 64;

// Two ranks, of which rank 0 is treated badly, and buffers large enough for all collectives.
class Arguments : public testing::Test {
 protected:
  ~Arguments() override { ranks.expect_usable(); }

  Ranks ranks{2};
  ncclComm_t comm = ranks[0];
  std::vector<int> a = std::vector<int>(4 * kCount), b = std::vector<int>(4 * kCount);
  int* const in = a.data();
  int* const out = b.data();
};

}  // namespace hansa::test
