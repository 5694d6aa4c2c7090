#include "device/host/combine.hpp"

#include <cstring>

namespace hansa {
namespace {

CombineFunction kernel(const CombineLevel& level, DataType type, ReduceOp op) {
  const bool sums = op == ReduceOp::kAvg || op == ReduceOp::kPreMulSum;
  return (*level.kernels)[static_cast<std::size_t>(type)][sums ? 0 : static_cast<std::size_t>(op)];
}

// Apart from combine_at(), which often has little to do; so is average().
[[gnu::noinline]] void copy(const CombineLevel& level, const CombineCall& call) {
  const std::size_t bytes = call.elements * size_of(call.type);
  if (call.destinations.size() > 1 || call.streaming) {
    // The maximum of one source: read once, written everywhere.
    CombineCall bytewise = call;
    bytewise.type = DataType::kInt8;
    bytewise.elements = bytes;
    bytewise.op = ReduceOp::kMax;
    kernel(level, bytewise.type, bytewise.op)(bytewise);
  } else if (call.destinations[0] != call.sources[0]) {
    std::memcpy(call.destinations[0], call.sources[0], bytes);
  }
}

// Quotients of up to 32 bits are exact through a double, which the compiler vectorizes.
template <class T>
void divide(std::byte* block, std::size_t elements, std::int64_t divisor) {
  for (std::size_t e = 0; e < elements; ++e) {
    T value;
    std::memcpy(&value, block + e * sizeof value, sizeof value);
    if constexpr (sizeof(T) < 8)
      value = static_cast<T>(static_cast<double>(value) / static_cast<double>(divisor));
    else
      value = static_cast<T>(value / static_cast<T>(divisor));
    std::memcpy(block + e * sizeof value, &value, sizeof value);
  }
}

void divide(DataType type, std::byte* block, std::size_t elements, std::int64_t divisor) {
  switch (type) {
    case DataType::kInt8:
      return divide<std::int8_t>(block, elements, divisor);
    case DataType::kUint8:
      return divide<std::uint8_t>(block, elements, divisor);
    case DataType::kInt32:
      return divide<std::int32_t>(block, elements, divisor);
    case DataType::kUint32:
      return divide<std::uint32_t>(block, elements, divisor);
    case DataType::kInt64:
      return divide<std::int64_t>(block, elements, divisor);
    case DataType::kUint64:
      return divide<std::uint64_t>(block, elements, divisor);
    default:
      return;  // float averages are premultiplied
  }
}

// The sum lies in the first destination before it is divided there: the executor's calls are chunks that stay
// in a cache, so that a second pass costs less than the division.
[[gnu::noinline]] void average(const CombineLevel& level, const CombineCall& call) {
  CombineCall sum = call;
  sum.destinations = call.destinations.first(1);
  sum.streaming = false;
  std::byte* const quotient = call.destinations[0];
  kernel(level, call.type, call.op)(sum);
  divide(call.type, quotient, call.elements, call.divisor);
  for (std::byte* destination : call.destinations.subspan(1))
    if (destination != quotient) std::memcpy(destination, quotient, call.elements * size_of(call.type));
}

}  // namespace

void combine_at(const CombineLevel& level, const CombineCall& call) {
  if (call.elements == 0 || call.sources.empty() || call.destinations.empty()) return;
  if (call.divisor > 1 && !is_float(call.type)) [[unlikely]]
    return average(level, call);
  if (call.sources.size() == 1 && call.premultiplied < 0) return copy(level, call);
  kernel(level, call.type, call.op)(call);
}

void host_combine(const CombineCall& call) {
  static const CombineLevel& best = combine_levels().back();
  combine_at(best, call);
}

}  // namespace hansa
