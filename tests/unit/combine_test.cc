#include "device/host/combine.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "device/host/memory_speed.hpp"
#include "tests/unit/combine_reference.hpp"

namespace hansa {
namespace {

using Elements = std::vector<std::uint64_t>;  // bits, whatever the width

#ifdef HANSA_SANITIZED  // the reference takes most of the time
constexpr std::size_t kSizes[] = {0, 1, 3, 16, 17, 65, 500};
constexpr std::size_t kMost = 500;
#else
constexpr std::size_t kSizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 1000, 4097};
constexpr std::size_t kMost = 4097;
#endif
constexpr std::size_t kFanIns[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17};
constexpr std::size_t kMostSources = 17, kMostDestinations = 3;

DataType type_at(int index) { return static_cast<DataType>(index); }
ReduceOp op_at(int index) { return static_cast<ReduceOp>(index); }

std::uint64_t get(DataType type, const std::byte* from, std::size_t index) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, from + index * size_of(type), size_of(type));
  return bits;
}

void put(DataType type, std::byte* to, std::size_t index, std::uint64_t bits) {
  std::memcpy(to + index * size_of(type), &bits, size_of(type));
}

// fp32 and fp64 sums and products may be any NaN; all else is exact.
bool equal(DataType type, ReduceOp op, std::uint64_t got, std::uint64_t want) {
  if (got == want) return true;
  if (op == ReduceOp::kMax || op == ReduceOp::kMin) return false;
  if (type == DataType::kFloat32)
    return std::isnan(std::bit_cast<float>(static_cast<std::uint32_t>(got))) &&
           std::isnan(std::bit_cast<float>(static_cast<std::uint32_t>(want)));
  return type == DataType::kFloat64 && std::isnan(std::bit_cast<double>(got)) &&
         std::isnan(std::bit_cast<double>(want));
}

// One array of elements at an odd multiple of the element's size from a cache line, and `askew` bytes more,
// with guards around it.
class Array {
 public:
  Array(DataType type, std::size_t count, std::size_t odd, std::size_t askew = 0)
      : type_(type), count_(count), bytes_(count * size_of(type) + 512, std::byte{0xa5}) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    start_ = 64 + (64 - address % 64) + odd * size_of(type) + askew;
  }
  std::byte* data() { return bytes_.data() + start_; }
  void set(std::size_t index, std::uint64_t bits) { put(type_, data(), index, bits); }
  std::uint64_t at(std::size_t index) { return get(type_, data(), index); }
  bool untouched_after(std::size_t count) {
    const std::byte* const end = data() + count * size_of(type_);
    return std::all_of(end, end + 64, [](std::byte b) { return b == std::byte{0xa5}; }) &&
           std::all_of(data() - 64, data(), [](std::byte b) { return b == std::byte{0xa5}; });
  }
  void wipe() { std::fill(bytes_.begin(), bytes_.end(), std::byte{0xa5}); }
  std::size_t count() const { return count_; }

 private:
  DataType type_;
  std::size_t count_, start_;
  std::vector<std::byte> bytes_;
};

// Every other element is any bits, the others numbers near 1 whose sums and products round.
std::uint64_t random_element(DataType type, std::size_t index, std::mt19937_64& random) {
  const std::uint64_t bits = random();
  const float number = static_cast<float>(static_cast<double>(bits) / 0x1p63 - 1);
  const std::uint64_t mask =
      size_of(type) == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * size_of(type)) - 1;
  if (index % 2 == 0 || !is_float(type)) return bits & mask;
  if (type == DataType::kFloat32) return std::bit_cast<std::uint32_t>(number);
  if (type == DataType::kFloat64) return std::bit_cast<std::uint64_t>(static_cast<double>(bits) / 0x1p63 - 1);
  return reference::codes(type).nearest(number);
}

struct Variant {
  bool in_place, streaming;
};

class Exhaustive : public testing::TestWithParam<int> {
 protected:
  Exhaustive() : type_(type_at(GetParam())), random_(GetParam()) {
    for (std::size_t s = 0; s < kMostSources; ++s) {
      sources_.emplace_back(type_, kMost, 2 * s + 1);
      for (std::size_t e = 0; e < kMost; ++e) sources_[s].set(e, random_element(type_, e, random_));
    }
    // The last cannot be brought to a vector's alignment by whole elements.
    for (std::size_t d = 0; d < kMostDestinations; ++d)
      destinations_.emplace_back(type_, kMost, 6 * d + 3, d + 1 == kMostDestinations ? 1 : 0);
  }

  CombineCall call_for(ReduceOp op, std::size_t fan_in) {
    CombineCall call{.type = type_, .op = op};
    const bool average = op == ReduceOp::kAvg;
    if (average && !is_float(type_)) call.divisor = 3;
    if (op == ReduceOp::kPreMulSum || (average && is_float(type_))) {
      call.premultiplied = static_cast<int>(fan_in / 2);
      call.factor = {.real = average ? 1.0 / 3 : -1.7, .integer = -7};
    }
    return call;
  }

  void check(const CombineLevel& level, CombineCall call, std::size_t fan_in, std::size_t fan_out,
             const Elements& want, Variant variant) {
    std::vector<const std::byte*> from;
    std::vector<std::byte*> to;
    for (std::size_t s = 0; s < fan_in; ++s) from.push_back(sources_[s].data());
    for (std::size_t d = 0; d < fan_out; ++d) to.push_back(destinations_[d].data());
    for (std::size_t size : kSizes) {
      for (std::size_t d = 0; d < fan_out; ++d) destinations_[d].wipe();
      if (variant.in_place) {
        std::memcpy(to.back(), sources_[fan_in - 1].data(), size * size_of(type_));
        from.back() = to.back();
      }
      call.sources = from;
      call.destinations = to;
      call.elements = size;
      const int lead = size % 2 == 0 ? 0 : static_cast<int>(fan_out) - 1;
      call.streams = variant.streaming ? lead : -1;
      if (&level == &combine_levels().back())
        choose_host_combine(call)(call);
      else
        combine_at(level, call);
      for (std::size_t d = 0; d < fan_out; ++d) {
        ASSERT_TRUE(destinations_[d].untouched_after(size)) << describe(level, call);
        for (std::size_t e = 0; e < size; ++e)
          ASSERT_TRUE(equal(type_, call.op, destinations_[d].at(e), want[e]))
              << describe(level, call) << " element " << e << std::hex << " got " << destinations_[d].at(e)
              << " want " << want[e];
      }
    }
  }

  std::string describe(const CombineLevel& level, const CombineCall& call) {
    return fmt::format("{} {} {} {} into {}, {} elements", level.name, name_of(type_), name_of(call.op),
                       call.sources.size(), call.destinations.size(), call.elements);
  }

  DataType type_;
  std::mt19937_64 random_;
  std::vector<Array> sources_, destinations_;
};

TEST_P(Exhaustive, EveryOperationFanAndSizeMatchesTheReference) {
  for (int o = 0; o < kReduceOps; ++o) {
    for (std::size_t fan_in : kFanIns) {
      const CombineCall call = call_for(op_at(o), fan_in);
      Elements want, elements(fan_in);
      for (std::size_t e = 0; e < kMost; ++e) {
        for (std::size_t s = 0; s < fan_in; ++s) elements[s] = sources_[s].at(e);
        want.push_back(reference::combine(call, elements));
      }
      for (const CombineLevel& level : combine_levels()) {
        for (std::size_t fan_out = 1; fan_out <= kMostDestinations; ++fan_out) {
          for (const Variant& variant : {Variant{false, false}, {true, false}, {false, true}, {true, true}}) {
            check(level, call, fan_in, fan_out, want, variant);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Combine, Exhaustive, testing::Range(0, kDataTypes),
                         [](const auto& shown) { return std::string(name_of(type_at(shown.param))); });

// Combines a and b at every level, elementwise, and compares with the reference.
void expect_pairs(DataType type, ReduceOp op, const Elements& a, const Elements& b) {
  Array first(type, a.size(), 0), second(type, a.size(), 1), result(type, a.size(), 2);
  for (std::size_t e = 0; e < a.size(); ++e) {
    first.set(e, a[e]);
    second.set(e, b[e]);
  }
  const std::byte* const from[] = {first.data(), second.data()};
  std::byte* const to[] = {result.data()};
  const CombineCall call{.type = type, .op = op, .sources = from, .destinations = to, .elements = a.size()};
  Elements want;
  for (std::size_t e = 0; e < a.size(); ++e) want.push_back(reference::combine(call, {a[e], b[e]}));
  for (const CombineLevel& level : combine_levels()) {
    combine_at(level, call);
    for (std::size_t e = 0; e < a.size(); ++e)
      ASSERT_TRUE(equal(type, op, result.at(e), want[e]))
          << level.name << " " << name_of(type) << " " << name_of(op) << std::hex << " of " << a[e] << " and "
          << b[e] << " is " << result.at(e) << ", not " << want[e];
  }
}

class Narrow : public testing::TestWithParam<DataType> {};

// All pairs of 8-bit codes; all 16-bit codes with every 4093rd and the special ones.
TEST_P(Narrow, EveryCodeWithManyOthers) {
  const DataType type = GetParam();
  const reference::Codes& table = reference::codes(type);
  Elements others;
  for (std::uint32_t code = 0; code<table.count(); code += table.count()> 256 ? 4093 : 1)
    others.push_back(code);
  for (double special : {0.0, -0.0, 1.0, -1.0, 0x1p-14, 0x1p-24, HUGE_VAL})
    others.push_back(table.nearest(static_cast<float>(special)));
  for (int o = 0; o <= static_cast<int>(ReduceOp::kMin); ++o) {
    for (std::uint64_t other : others) {
      Elements all(table.count());
      for (std::uint32_t code = 0; code < table.count(); ++code) all[code] = code;
      expect_pairs(type, op_at(o), all, Elements(all.size(), other));
      if (HasFatalFailure()) return;
    }
  }
}

// 1 times a number is that number rounded: the ends and the middle of every gap between neighbouring codes.
TEST_P(Narrow, RoundsToTheNearestCodeAndTiesToEven) {
  const DataType type = GetParam();
  const reference::Codes& table = reference::codes(type);
  std::byte one[2], rounded[2];
  put(type, one, 0, table.nearest(1));
  const std::byte* const from[] = {one};
  std::byte* const to[] = {rounded};
  CombineCall call{
      .type = type, .op = ReduceOp::kPreMulSum, .sources = from, .destinations = to, .elements = 1};
  call.premultiplied = 0;
  for (std::uint32_t code = 0; code < table.count(); ++code) {
    const float low = table.value(code), high = table.value(code + 1 < table.count() ? code + 1 : code);
    const float middle = std::isinf(high) ? low : (low + high) / 2;
    for (float value :
         {low, std::nextafter(middle, low), middle, std::nextafter(middle, high), low * 2, -low / 3}) {
      call.factor.real = value;
      for (const CombineLevel& level : combine_levels()) {
        combine_at(level, call);
        ASSERT_EQ(get(type, rounded, 0), table.nearest(value)) << level.name << " " << value;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Combine, Narrow,
                         testing::Values(DataType::kFloat16, DataType::kBfloat16, DataType::kFloat8E4M3,
                                         DataType::kFloat8E5M2),
                         [](const auto& shown) { return std::string(name_of(shown.param)); });

// The table of docs/devices.md, case by case: sources, and the one result.
struct Corner {
  DataType type;
  ReduceOp op;
  Elements sources;
  std::uint64_t result;
  int premultiplied = -1;
  Factor factor = {};
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
    {DataType::kInt32, kAvg, {0xfffffff9, 0}, 0xfffffffd, -1, {}, 2},  // -7 / 2 = -3
    {DataType::kInt8, kAvg, {100, 100}, 0xe4, -1, {}, 2},              // 200 wraps to -56, / 2 = -28
    {DataType::kUint8, kAvg, {200, 100}, 22, -1, {}, 2},               // 300 wraps to 44
    {DataType::kInt8, kAvg, {100, 20}, 0, -1, {}, 300},                // a divisor wider than the type
    {DataType::kInt64, kAvg, {1ull << 63, 0}, 0xd555555555555556, -1, {}, 3},
    {DataType::kUint64, kAvg, {1ull << 63, 0}, 0x2aaaaaaaaaaaaaaa, -1, {}, 3},
    {DataType::kInt32, kAvg, {9}, 3, -1, {}, 3},  // also of one source
    {DataType::kInt32, kPreMulSum, {5, 1}, 0xfffffff2, 0, {1.0, -3}},
    {DataType::kInt8, kPreMulSum, {5}, 0xf1, 0, {1.0, -3}},
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
    {kBf16, kPreMulSum, {0x3f80, 0x3f80}, 0x4380, 0, {257.0, 1}},
    {kF16, kPreMulSum, {0x3c00}, 0x7c00, 0, {1e6, 1}},
    {kE4M3, kPreMulSum, {0x38}, 0x7e, 0, {1e6, 1}},
    {kF32, kPreMulSum, {0x3f800001, 0xbf800002}, 0, 0, {1.0 + 0x1p-23, 1}},  // no fused multiply-add
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
                           .premultiplied = corner.premultiplied,
                           .factor = corner.factor,
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

TEST(MemorySpeed, MeasuresWhatFitsAndRefusesWhatDoesNot) {
  const MemorySpeed speed = measure_memory_speed(100000, std::chrono::microseconds(100));
  EXPECT_EQ(speed.footprint, 98304u);
  for (double figure : {speed.read, speed.write, speed.copy, speed.streamed_write, speed.streamed_copy})
    EXPECT_GT(figure, 0);
  EXPECT_EQ(measure_memory_speed(SIZE_MAX / 2, std::chrono::microseconds(1)).footprint, 0u);
  EXPECT_EQ(measure_streaming_threshold(0), SIZE_MAX);
  const std::size_t threshold = measure_streaming_threshold(std::size_t{4} << 20);
  EXPECT_TRUE(threshold == SIZE_MAX ||
              (threshold >= std::size_t{1} << 20 && threshold <= std::size_t{4} << 20));
}

}  // namespace
}  // namespace hansa

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (const hansa::CombineLevel& level : hansa::combine_levels())
    std::printf("this machine runs the instruction level %s\n", level.name.data());
  return RUN_ALL_TESTS();
}
