// Single cases of the kernels: the corners, and what divides.
#include <gtest/gtest.h>

#include <random>

#include "device/host/combine.hpp"
#include "tests/unit/combine_arrays.hpp"
#include "tests/unit/combine_reference.hpp"

namespace hansa {
namespace {

// The table of docs/devices.md, case by case: sources, and the one result.
struct Corner {
  DataType type;
  ReduceOp op;
  Elements sources;
  std::uint64_t result;
  std::vector<Factor> factors = {};
  std::int64_t divisor = 1;
};

constexpr DataType kF16 = DataType::kFloat16, kBf16 = DataType::kBfloat16, kE4M3 = DataType::kFloat8E4M3,
                   kE5M2 = DataType::kFloat8E5M2, kF32 = DataType::kFloat32, kF64 = DataType::kFloat64;
constexpr ReduceOp kSum = ReduceOp::kSum, kProd = ReduceOp::kProd, kMax = ReduceOp::kMax,
                   kMin = ReduceOp::kMin, kAvg = ReduceOp::kAvg, kPreMulSum = ReduceOp::kPreMulSum;

const Corner kCorners[] = {
    // Integers wrap; averages divide the wrapped sum towards zero.
    {DataType::kInt8, kSum, {127, 1}, 0x80},
    {DataType::kUint8, kProd, {16, 17}, 16},
    {DataType::kInt32, kAvg, {0xfffffff9, 0}, 0xfffffffd, {}, 2},  // -7 / 2 = -3
    {DataType::kInt8, kAvg, {100, 100}, 0xe4, {}, 2},              // 200 wraps to -56, / 2 = -28
    {DataType::kUint8, kAvg, {200, 100}, 22, {}, 2},               // 300 wraps to 44
    {DataType::kInt8, kAvg, {100, 20}, 0, {}, 300},                // a divisor wider than the type
    {DataType::kInt64, kAvg, {1ull << 63, 0}, 0xd555555555555556, {}, 3},
    {DataType::kUint64, kAvg, {1ull << 63, 0}, 0x2aaaaaaaaaaaaaaa, {}, 3},
    {DataType::kInt32, kAvg, {9}, 3, {}, 3},  // also of one source
    {DataType::kInt32, kPreMulSum, {5, 1}, 0xfffffff2, {{1.0, -3}, {}}},
    {DataType::kInt8, kPreMulSum, {5}, 0xf1, {{1.0, -3}}},
    {DataType::kInt8, kMax, {0x80, 0x7f}, 0x7f},
    {DataType::kUint8, kMax, {0x80, 0x7f}, 0x80},
    // Overflow: infinity in 16 bits, the greatest number in 8.
    {kF16, kSum, {0x7bff, 0x7bff}, 0x7c00},
    {kBf16, kSum, {0xff7f, 0xff7f}, 0xff80},
    {kE4M3, kSum, {0x7e, 0x7e}, 0x7e},
    {kE4M3, kSum, {0xfe, 0xfe}, 0xfe},
    {kE5M2, kSum, {0x7b, 0x7b}, 0x7b},
    {kE5M2, kSum, {0x7c, 0x00}, 0x7b},  // an infinity saturates too, once it is rounded
    {kE5M2, kMax, {0x7c, 0x00}, 0x7c},  // which Max and Min do not
    // Rounded once: each step alone would lose the small ones.
    {kBf16, kSum, {0x4380, 0x3f80, 0x3f80}, 0x4381},  // 256 + 1 + 1 = 258
    {kE4M3, kSum, {0x7e, 0x7e, 0xfe}, 0x7e},          // 448 + 448 - 448
    {kF16, kSum, {0x7bff, 0x7bff, 0xfbff}, 0x7bff},
    // NaN: any in a sum, canonical; ignored by Max and Min while there is a number.
    {kF16, kSum, {0xfe01, 0x3c00}, 0x7fff},
    {kBf16, kProd, {0x7f81, 0x3f80}, 0x7fff},
    {kE4M3, kSum, {0xff, 0x38}, 0x7f},
    {kE5M2, kSum, {0x7c, 0xfc}, 0x7f},
    {kF32, kMax, {0x7fc00000, 0xc0000000}, 0xc0000000},
    {kF32, kMin, {0xc0000000, 0xff800001}, 0xc0000000},
    {kF64, kMax, {0x7ff0000000000001, 0xfff0000000000000}, 0xfff0000000000000},
    {kF32, kMax, {0xffc00000, 0x7fc00001}, 0x7fffffff},
    {kE4M3, kMin, {0x7f, 0xff}, 0x7f},
    {kF16, kMin, {0x7e00, 0x7c00}, 0x7c00},
    // Zeros: +0 is above -0; sums follow IEEE 754.
    {kF32, kMax, {0x80000000, 0}, 0},
    {kF32, kMax, {0, 0x80000000}, 0},
    {kF32, kMin, {0, 0x80000000}, 0x80000000},
    {kE4M3, kMin, {0x00, 0x80}, 0x80},
    {kF16, kSum, {0x8000, 0x8000}, 0x8000},
    {kF16, kSum, {0x8000, 0x0000}, 0x0000},
    // The product is rounded to the type before it is added: 257 to 256, so that 256 + 1 ties to 256.
    {kBf16, kPreMulSum, {0x3f80, 0x3f80}, 0x4380, {{257.0, 1}, {}}},
    {kF16, kPreMulSum, {0x3c00}, 0x7c00, {{1e6, 1}}},
    {kE4M3, kPreMulSum, {0x38}, 0x7e, {{1e6, 1}}},
    {kF32, kPreMulSum, {0x3f800001, 0xbf800002}, 0, {{1.0 + 0x1p-23, 1}, {}}},  // no fused multiply-add
    // Denormals are numbers.
    {kF16, kSum, {0x0001, 0x0001}, 0x0002},
    {kBf16, kSum, {0x0001, 0x0001}, 0x0002},
    {kE4M3, kSum, {0x01, 0x07}, 0x08},
    {kE5M2, kProd, {0x04, 0x38}, 0x02},
    // One source is copied, whatever it is.
    {kF32, kSum, {0x7f800001}, 0x7f800001},
    {kE5M2, kAvg, {0xff}, 0xff},
};

TEST(Combine, CornerCases) {
  for (const Corner& corner : kCorners) {
    std::vector<Array> arrays(corner.sources.size(), Array(corner.type, 100, 1));
    Array result(corner.type, 100, 0);
    std::vector<const std::byte*> from;
    for (std::size_t s = 0; s < corner.sources.size(); ++s) {
      for (std::size_t e = 0; e < 100; ++e) arrays[s].set(e, corner.sources[s]);
      from.push_back(arrays[s].data());
    }
    std::byte* const to[] = {result.data()};
    const CombineCall call{.type = corner.type,
                           .op = corner.op,
                           .sources = from,
                           .destinations = to,
                           .elements = 100,
                           .factors = corner.factors,
                           .divisor = corner.divisor};
    EXPECT_EQ(reference::combine(call, corner.sources), corner.result)
        << "reference: " << name_of(corner.type) << " " << name_of(corner.op) << " case "
        << &corner - kCorners;
    for (const CombineLevel& level : combine_levels()) {
      result.wipe();
      combine_at(level, call);
      for (std::size_t e : {0, 50, 99})
        EXPECT_EQ(result.at(e), corner.result) << level.name << " " << name_of(corner.type) << " "
                                               << name_of(corner.op) << " case " << &corner - kCorners;
    }
  }
}

// Dividends around the multiples of the divisor, where a quotient that is off by one shows, and any others.
Elements dividends(DataType type, std::int64_t divisor) {
  std::mt19937_64 random(static_cast<std::uint64_t>(divisor));
  const int bits = static_cast<int>(8 * size_of(type));
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - bits), top = std::uint64_t{1} << (bits - 1);
  Elements all = {0, 1, top - 1, top, top + 1, mask - 1, mask};
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t any = random() >> (random() % 64);
    const std::uint64_t multiple = any - any % static_cast<std::uint64_t>(divisor);
    for (const std::uint64_t value :
         {any, multiple, multiple - 1, multiple + 1, -multiple, 1 - multiple, -any})
      all.push_back(value & mask);
  }
  return all;
}

TEST(Combine, AveragesOfIntegersAreExact) {
  for (int t = 0; t < kDataTypes; ++t) {
    const DataType type = type_at(t);
    if (is_float(type)) continue;
    for (const std::int64_t divisor : {2ll,
                                       3ll,
                                       4ll,
                                       5ll,
                                       6ll,
                                       7ll,
                                       8ll,
                                       9ll,
                                       60ll,
                                       127ll,
                                       128ll,
                                       129ll,
                                       255ll,
                                       256ll,
                                       257ll,
                                       641ll,
                                       65535ll,
                                       65536ll,
                                       65537ll,
                                       (1ll << 31) - 1,
                                       1ll << 31,
                                       (1ll << 32) - 1,
                                       1ll << 32,
                                       1ll << 40,
                                       6700417ll * 641 + 2}) {
      const Elements all = dividends(type, divisor);
      Array source(type, all.size(), 1), result(type, all.size(), 0);
      for (std::size_t e = 0; e < all.size(); ++e) source.set(e, all[e]);
      const std::byte* const from[] = {source.data()};
      std::byte* const to[] = {result.data()};
      const CombineCall call{.type = type,
                             .op = kAvg,
                             .sources = from,
                             .destinations = to,
                             .elements = all.size(),
                             .divisor = divisor};
      for (const CombineLevel& level : combine_levels()) {
        combine_at(level, call);
        for (std::size_t e = 0; e < all.size(); ++e)
          ASSERT_EQ(result.at(e), reference::combine(call, {all[e]}))
              << level.name << " " << name_of(type) << " " << all[e] << " / " << divisor;
      }
    }
  }
}
TEST(Combine, NothingToDoIsNothingDone) {
  const float source = 1;
  float destination = 2;
  const std::byte* const from[] = {reinterpret_cast<const std::byte*>(&source)};
  std::byte* const to[] = {reinterpret_cast<std::byte*>(&destination)};
  host_combine({.sources = from, .destinations = to, .elements = 0});
  host_combine({.sources = from, .elements = 1});
  host_combine({.destinations = to, .elements = 1});
  EXPECT_EQ(destination, 2);
  host_combine({.sources = from, .destinations = to, .elements = 1});
  EXPECT_EQ(destination, 1);
}

}  // namespace
}  // namespace hansa
