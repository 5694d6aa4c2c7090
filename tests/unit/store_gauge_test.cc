// When a gauge tells to write past the caches, and for how long.
#include "base/store_gauge.hpp"

#include <gtest/gtest.h>

namespace hansa {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kBytes = 16 * 1024;
constexpr nanoseconds kSlow(100), kUnknown(0);                          // of 1 KiB
constexpr nanoseconds kQuickFill = 10 * kSlow, kSlowFill = 20 * kSlow;  // 16 of them are just quick enough

// Fills until one is to be timed, and that one; how many there were.
int fill(StoreGauge& gauge, nanoseconds took, std::size_t bytes = kBytes) {
  int fills = 1;
  for (; !gauge.wants_time(); ++fills) gauge.filled(bytes, kUnknown);
  gauge.filled(bytes, took);
  return fills;
}

int fill_until_streamed(StoreGauge& gauge, nanoseconds took) {
  for (int times = 1; times < 1000; ++times) {
    fill(gauge, took);
    if (gauge.streams()) return times;
  }
  return 0;
}

TEST(StoreGauge, StreamsAfterSeveralSlowFillsInARow) {
  StoreGauge gauge(kSlow);
  for (int i = 0; i < 3; ++i) fill(gauge, kSlowFill);
  EXPECT_FALSE(gauge.streams());
  fill(gauge, kQuickFill);  // something else was the matter
  for (int i = 0; i < 3; ++i) fill(gauge, kSlowFill);
  EXPECT_FALSE(gauge.streams());
  fill(gauge, kSlowFill);
  EXPECT_TRUE(gauge.streams());
}

TEST(StoreGauge, MeasuresByLength) {
  StoreGauge gauge(kSlow);
  for (int i = 0; i < 100; ++i) fill(gauge, kSlowFill, 2 * kBytes);
  EXPECT_FALSE(gauge.streams());
}

TEST(StoreGauge, TriesOrdinaryStoresAgainAndIsThenSoonConvinced) {
  StoreGauge gauge(kSlow);
  EXPECT_EQ(fill_until_streamed(gauge, kSlowFill), 4);
  int streamed = 0;
  for (; gauge.streams(); ++streamed) {
    EXPECT_FALSE(gauge.wants_time());
    gauge.filled(kBytes, kUnknown);
  }
  EXPECT_EQ(streamed, 512);
  EXPECT_EQ(fill_until_streamed(gauge, kSlowFill), 1);
  while (gauge.streams()) gauge.filled(kBytes, kUnknown);
  fill(gauge, kQuickFill);
  EXPECT_EQ(fill_until_streamed(gauge, kSlowFill), 4);
}

TEST(StoreGauge, WantsOneFillOfSeveralTimed) {
  StoreGauge gauge(kSlow);
  fill(gauge, kQuickFill);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fill(gauge, kQuickFill), 5);
}

}  // namespace
}  // namespace hansa
