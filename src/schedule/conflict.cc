#include "schedule/conflict.hpp"

#include "schedule/ids.hpp"

namespace hansa {
namespace {

bool is_run(const Blocks& blocks) { return blocks.repeats == 1; }

// Whether two sets of ids meet, both modulo `modulus`.
bool overlap(const Blocks& a, const Blocks& b, std::uint32_t modulus) {
  if (is_run(a) && is_run(b)) {
    const std::uint32_t from_a = (b.first % modulus + modulus - a.first % modulus) % modulus;
    const std::uint32_t from_b = (modulus - from_a) % modulus;
    return from_a < a.count || from_b < b.count;
  }
  bool found = false;
  for_each_id(a, modulus, [&](std::uint32_t x) {
    for_each_id(b, modulus, [&](std::uint32_t y) { found = found || x == y; });
  });
  return found;
}

bool same_bytes(const Operand& a, const Operand& b, const Schedule& schedule) {
  if (a.place == Place::kPeer || b.place == Place::kPeer) return false;
  const bool a_scratch = a.place == Place::kScratch, b_scratch = b.place == Place::kScratch;
  if (a_scratch != b_scratch) return false;
  return overlap(a.blocks, b.blocks, a_scratch ? schedule.scratch_blocks : schedule.blocks);
}

}  // namespace

bool conflict(const Schedule& schedule, const Step& earlier, const Step& later) {
  const auto meet = [&](std::span<const Operand> a, std::span<const Operand> b) {
    for (const Operand& x : a)
      for (const Operand& y : b)
        if (same_bytes(x, y, schedule)) return true;
    return false;
  };
  return meet(schedule.destinations(earlier), schedule.sources(later)) ||
         meet(schedule.destinations(earlier), schedule.destinations(later)) ||
         meet(schedule.sources(earlier), schedule.destinations(later));
}

}  // namespace hansa
