#include "device/host/combine.hpp"

#include <cstring>

namespace hansa {
namespace {

const CombineLevel& best_level() {
  static const CombineLevel& best = combine_levels().back();
  return best;
}

// Sums are divided where that is asked for: the steps before the last of an average only add.
CombineFunction kernel(const CombineLevel& level, const CombineCall& call) {
  const bool sums = call.op == ReduceOp::kAvg || call.op == ReduceOp::kPreMulSum;
  const CombineLevel::Functions& of_type = *level.kernels[static_cast<std::size_t>(call.type)];
  const ReduceOp op = !sums ? call.op : call.divisor > 1 ? ReduceOp::kAvg : ReduceOp::kSum;
  return of_type[static_cast<std::size_t>(op)](call);
}

std::size_t bytes_of(const CombineCall& call) { return call.elements * size_of(call.type); }

bool copies(const CombineCall& call) {
  const bool scaled = !call.factors.empty() && call.factors[0].scales();
  return call.sources.size() == 1 && !scaled && call.divisor <= 1;
}
bool empty(const CombineCall& call) {
  return call.elements == 0 || call.sources.empty() || call.destinations.empty();
}

// From kBytes to twice as many: all is read before anything is written.
template <std::size_t kBytes>
void copy_short(const CombineCall& call) {
  const std::size_t rest = bytes_of(call) - kBytes;
  const std::byte* const from = call.sources[0];
  std::array<std::byte, kBytes> first, last;
  std::memcpy(first.data(), from, kBytes);
  std::memcpy(last.data(), from + rest, kBytes);
  for (std::byte* to : call.destinations) {
    std::memcpy(to, first.data(), kBytes);
    std::memcpy(to + rest, last.data(), kBytes);
  }
}

// To one destination.
template <std::size_t kBytes>
void copy_exactly(const CombineCall& call) {
  std::array<std::byte, kBytes> all;
  std::memcpy(all.data(), call.sources[0], kBytes);
  std::memcpy(call.destinations[0], all.data(), kBytes);
}

// The maximum of one source's bytes: read once, written everywhere. libc's copy would do for one destination,
// but its `rep movsb` crawls where the destination's lines are in another core's cache.
void copy_at(const CombineLevel& level, CombineCall call) {
  if (call.destinations.size() == 1 && call.destinations[0] == call.sources[0]) return;
  call.elements = bytes_of(call);
  call.type = DataType::kInt8;
  call.op = ReduceOp::kMax;
  kernel(level, call)(call);
}

void copy_long(const CombineCall& call) { copy_at(best_level(), call); }

CombineFunction choose_copy(const CombineCall& call) {
  const std::size_t bytes = bytes_of(call);
  const bool once = call.destinations.size() == 1;
  if (bytes < 4 || bytes > 64 || call.streams >= 0) return copy_long;
  if (once && bytes == 4) return copy_exactly<4>;
  if (once && bytes == 8) return copy_exactly<8>;
  if (once && bytes == 16) return copy_exactly<16>;
  if (bytes < 8) return copy_short<4>;
  if (bytes < 16) return copy_short<8>;
  return bytes < 32 ? copy_short<16> : copy_short<32>;
}

}  // namespace

void combine_at(const CombineLevel& level, const CombineCall& call) {
  if (empty(call)) return;
  if (copies(call)) return copy_at(level, call);
  kernel(level, call)(call);
}

void host_combine(const CombineCall& call) { combine_at(best_level(), call); }

CombineFunction choose_host_combine(const CombineCall& call) {
  if (empty(call)) return host_combine;
  return copies(call) ? choose_copy(call) : kernel(best_level(), call);
}

}  // namespace hansa
