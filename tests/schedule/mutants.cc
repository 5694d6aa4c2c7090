#include "mutants.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hansa::test {
namespace {

// Whether some other dependency of the step already waits for `dep`.
bool implied(const Schedule& schedule, const Step& step, std::uint32_t dep) {
  std::vector<std::uint32_t> todo;
  std::vector<bool> seen(schedule.steps.size());
  for (const std::uint32_t other : schedule.dependencies(step))
    if (other > dep) todo.push_back(other);
  while (!todo.empty()) {
    const std::uint32_t at = todo.back();
    todo.pop_back();
    for (const std::uint32_t earlier : schedule.dependencies(schedule.steps[at])) {
      if (earlier == dep) return true;
      if (earlier < dep || seen[earlier]) continue;
      seen[earlier] = true;
      todo.push_back(earlier);
    }
  }
  return false;
}

// The schedule with step `index` written `copies` times (0 or 1 more than once).
Schedule with_copies(const Schedule& schedule, std::uint32_t index, std::uint32_t copies) {
  Schedule out = schedule;
  out.steps.clear();
  out.operands.clear();
  out.deps.clear();
  for (std::uint32_t s = 0; s < schedule.steps.size(); ++s)
    for (std::uint32_t c = 0; c < (s == index ? copies : 1); ++c) {
      Step step = schedule.steps[s];
      const auto operands =
          std::span(schedule.operands).subspan(step.operands, std::size_t{step.sources} + step.destinations);
      const auto deps = schedule.dependencies(schedule.steps[s]);
      step.operands = static_cast<std::uint32_t>(out.operands.size());
      step.deps = static_cast<std::uint32_t>(out.deps.size());
      out.operands.insert(out.operands.end(), operands.begin(), operands.end());
      for (const std::uint32_t dep : deps) {
        if (dep == index && copies == 0) continue;
        out.deps.push_back(dep > index ? dep + copies - 1 : dep);
      }
      step.dep_count = static_cast<std::uint16_t>(out.deps.size() - step.deps);
      out.steps.push_back(step);
    }
  return out;
}

using Visit = std::function<void(Damage, const Schedule&, const std::string&)>;

void drop_dependencies(const Schedule& schedule, std::uint32_t s, const Visit& visit) {
  const Step& step = schedule.steps[s];
  for (std::uint32_t d = 0; d < step.dep_count; ++d) {
    const std::uint32_t dep = schedule.deps[step.deps + d];
    if (implied(schedule, step, dep)) continue;
    Schedule out = schedule;
    std::swap(out.deps[step.deps + d], out.deps[step.deps + step.dep_count - 1]);
    --out.steps[s].dep_count;
    visit(Damage::kDependencyDropped, out, fmt::format("step {} no longer depends on step {}", s, dep));
  }
}

void change_operands(const Schedule& schedule, std::uint32_t s, const Visit& visit) {
  const Step& step = schedule.steps[s];
  Schedule all = schedule;  // every operand outside scratch shifted alike
  for (std::uint32_t k = step.operands; k < step.operands + step.sources + step.destinations; ++k) {
    const Operand& operand = schedule.operands[k];
    const bool scratch = operand.place == Place::kScratch;
    const std::uint32_t modulus = scratch ? schedule.scratch_blocks : schedule.blocks;
    if (operand.place == Place::kPeer) {
      Schedule out = schedule;
      out.operands[k].peer = (operand.peer + 1) % schedule.ranks;
      visit(Damage::kPeerSwapped, out,
            fmt::format("step {} talks to rank {} instead of {}", s, out.operands[k].peer, operand.peer));
    }
    if (modulus == 1) continue;
    Schedule out = schedule;
    out.operands[k].blocks.first = (operand.blocks.first + 1) % modulus;
    if (!scratch) all.operands[k] = out.operands[k];
    visit(Damage::kBlockShifted, out, fmt::format("step {}'s operand {} is shifted", s, k - step.operands));
  }
  if (schedule.blocks > 1) visit(Damage::kBlockShifted, all, fmt::format("step {} is shifted as a whole", s));
}

}  // namespace

void for_each_mutant(const Schedule& schedule, const Visit& visit) {
  for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
    drop_dependencies(schedule, s, visit);
    change_operands(schedule, s, visit);
    visit(Damage::kStepRemoved, with_copies(schedule, s, 0), fmt::format("step {} is removed", s));
    visit(Damage::kStepDoubled, with_copies(schedule, s, 2), fmt::format("step {} is doubled", s));
  }
}

}  // namespace hansa::test
