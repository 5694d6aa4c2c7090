#include "device/host/combine.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "device/host/memory_speed.hpp"
#include "tests/unit/combine_arrays.hpp"
#include "tests/unit/combine_reference.hpp"

namespace hansa {
namespace {

#ifdef HANSA_SANITIZED  // the reference takes most of the time
constexpr std::size_t kSizes[] = {0, 1, 3, 16, 17, 65, 500};
constexpr std::size_t kMost = 500;
#else
constexpr std::size_t kSizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 1000, 4097};
constexpr std::size_t kMost = 4097;
#endif
constexpr std::size_t kFanIns[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17};
constexpr std::size_t kMostSources = 17, kMostDestinations = 3;

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
    // Each source is multiplied by a number of its own, and those in the middle by none.
    factors_.clear();
    for (std::size_t s = 0; s < fan_in; ++s) {
      const auto number = static_cast<double>(s);
      factors_.push_back(s == fan_in / 2
                             ? Factor()
                             : Factor{average ? 1 / (number + 3) : number - 1.7, -7 - static_cast<int>(s)});
    }
    if (op == ReduceOp::kPreMulSum || (average && is_float(type_))) call.factors = factors_;
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
  std::vector<Factor> factors_;
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
  Factor factor;
  call.factors = {&factor, 1};
  for (std::uint32_t code = 0; code < table.count(); ++code) {
    const float low = table.value(code), high = table.value(code + 1 < table.count() ? code + 1 : code);
    const float middle = std::isinf(high) ? low : (low + high) / 2;
    for (float value :
         {low, std::nextafter(middle, low), middle, std::nextafter(middle, high), low * 2, -low / 3}) {
      factor.real = value;
      for (const CombineLevel& level : combine_levels()) {
        combine_at(level, call);
        ASSERT_EQ(get(type, rounded, 0), table.nearest(value)) << level.name << " " << value;
      }
    }
  }
}

// Long calls whose sources are multiplied by one number may look their products up: of every code, and beside
// a source that is not multiplied.
TEST_P(Narrow, OneFactorForALongCall) {
  const DataType type = GetParam();
  constexpr std::size_t kElements = 4113;
  Array multiplied(type, kElements, 0), plain(type, kElements, 1), result(type, kElements, 2);
  std::mt19937_64 random(1);
  const std::uint32_t stride = reference::codes(type).count() > 256 ? 4093 : 1;
  for (std::size_t e = 0; e < kElements; ++e) {
    multiplied.set(e, e * stride % reference::codes(type).count());
    plain.set(e, random_element(type, e, random));
  }
  const std::byte* const from[] = {multiplied.data(), plain.data(), multiplied.data()};
  std::byte* const to[] = {result.data()};
  CombineCall call{
      .type = type, .op = ReduceOp::kPreMulSum, .sources = from, .destinations = to, .elements = kElements};
  std::vector<std::pair<double, double>> numbers = {{-0.0, 0.0}, {0.5, 2.0}};  // not one
  for (double number : {0.5, 1.0 / 3, -0.7, 3e4, 0x1p-9, 0.0, -0.0, 1e-30, 1e30, HUGE_VAL, std::nan("")})
    numbers.emplace_back(number, number);
  for (const auto& [number, other] : numbers) {
    const Factor factors[] = {{.real = number}, {}, {.real = other}};
    call.factors = factors;
    Elements want;
    for (std::size_t e = 0; e < kElements; ++e)
      want.push_back(reference::combine(call, {multiplied.at(e), plain.at(e), multiplied.at(e)}));
    for (const CombineLevel& level : combine_levels()) {
      combine_at(level, call);
      for (std::size_t e = 0; e < kElements; ++e)
        ASSERT_EQ(result.at(e), want[e])
            << level.name << " times " << number << " and " << other << " element " << e;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Combine, Narrow,
                         testing::Values(DataType::kFloat16, DataType::kBfloat16, DataType::kFloat8E4M3,
                                         DataType::kFloat8E5M2),
                         [](const auto& shown) { return std::string(name_of(shown.param)); });

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
