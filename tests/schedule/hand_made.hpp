// Schedules made by hand, right and wrong, and what the checker must say of them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "schedule/check.hpp"

namespace hansa {

using Schedules = std::vector<Schedule>;

inline Query query(Collective collective, Rank ranks, Rank root = 0) { return {collective, ranks, root, 2}; }

// An allreduce on a ring, written as plainly as it goes: n-1 steps reduce, step n-1 finishes, n-1 steps
// spread.
inline Schedule ring_of(Rank self, Rank n) {
  Builder builder(n, static_cast<std::uint32_t>(n));
  const auto back = [&](Rank k) { return block(static_cast<std::uint32_t>((self - k + 2 * n) % n)); };
  const Rank next = (self + 1) % n, previous = (self + n - 1) % n;
  if (n == 1) {
    builder.combine({input(block(0))}, {output(block(0))});
    builder.finish();
    return std::move(builder).build();
  }
  builder.combine({input(back(1))}, {peer(next, back(1))});
  for (Rank k = 2; k < n; ++k)
    builder.combine({peer(previous, back(k)), input(back(k))}, {peer(next, back(k))});
  builder.combine({peer(previous, back(0)), input(back(0))}, {output(back(0)), peer(next, back(0))});
  builder.finish();
  for (Rank k = 1; k < n - 1; ++k)
    builder.combine({peer(previous, back(k))}, {output(back(k)), peer(next, back(k))});
  builder.combine({peer(previous, back(n - 1))}, {output(back(n - 1))});
  return std::move(builder).build();
}

inline Schedules ring(Rank n) {
  Schedules all;
  for (Rank self = 0; self < n; ++self) all.push_back(ring_of(self, n));
  return all;
}

// Each rank's schedule as `build` writes it.
inline Schedules each(Rank n, std::uint32_t blocks, std::uint32_t scratch,
                      const std::function<void(Builder&, Rank)>& build) {
  Schedules all;
  for (Rank self = 0; self < n; ++self) {
    Builder builder(n, blocks, scratch);
    builder.limit_messages(blocks);
    build(builder, self);
    all.push_back(std::move(builder).build());
  }
  return all;
}

inline void expect_right(const Query& q, const Schedules& schedules) {
  const Status status = check_schedules(q, schedules);
  EXPECT_TRUE(status.ok()) << status.message();
}

inline void expect_wrong(const Query& q, const Schedules& schedules,
                         std::initializer_list<const char*> words) {
  const Status status = check_schedules(q, schedules);
  ASSERT_FALSE(status.ok()) << "nobody noticed";
  for (const char* word : words)
    EXPECT_NE(status.message().find(word), std::string_view::npos)
        << "'" << word << "' in: " << status.message();
}

// Both ranks send their input and add what they get.
inline Schedules exchange() {
  return each(2, 1, 0, [](Builder& b, Rank self) {
    b.combine({input(block(0))}, {peer(1 - self, block(0))});
    b.combine({input(block(0)), peer(1 - self, block(0))}, {output(block(0))});
    b.finish();
  });
}
inline const Query kPair = query(Collective::kAllReduce, 2);

}  // namespace hansa
