#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "schedule/print.hpp"
#include "schedule/print_words.hpp"

namespace hansa {

std::string words_for(const Blocks& blocks, std::uint32_t modulus) {
  const std::uint32_t first = modulus > 0 ? blocks.first % modulus : blocks.first;
  std::string text = fmt::format("{}", first);
  if (blocks.count > 1) {
    const std::uint64_t last = std::uint64_t{first} + blocks.count - 1;
    text += fmt::format("..{}", modulus > 0 ? last % modulus : last);
  }
  if (blocks.repeats > 1) text += fmt::format(" by {}, {} times", blocks.stride, blocks.repeats);
  return text;
}

std::string words_for(const Operand& operand, const Schedule& schedule) {
  const bool scratch = operand.place == Place::kScratch;
  const std::string blocks = words_for(operand.blocks, scratch ? schedule.scratch_blocks : schedule.blocks);
  switch (operand.place) {
    case Place::kInput:
      return "input " + blocks;
    case Place::kOutput:
      return "output " + blocks;
    case Place::kScratch:
      return "scratch " + blocks;
    case Place::kPeer:
      break;
  }
  if (operand.lane == 0) return fmt::format("peer {}: {}", operand.peer, blocks);
  return fmt::format("peer {} lane {}: {}", operand.peer, operand.lane, blocks);
}

std::string words_for(const Step& step, const Schedule& schedule) {
  std::string text;
  for (const Operand& operand : schedule.sources(step))
    text += (text.empty() ? "" : " + ") + words_for(operand, schedule);
  text += " -> ";
  bool first = true;
  for (const Operand& operand : schedule.destinations(step)) {
    text += (first ? "" : ", ") + words_for(operand, schedule);
    first = false;
  }
  return text;
}

namespace {

std::string count_of(std::uint64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string header(const Schedule& schedule, Rank self) {
  std::uint64_t written_out = schedule.steps.size();
  for (const Repeat& repeat : schedule.repeats)
    written_out += std::uint64_t{repeat.steps} * repeat.times - repeat.steps;
  std::string text = fmt::format("rank {} of {}: {}, {}", self, schedule.ranks, count_of(written_out, "step"),
                                 count_of(schedule.blocks, "block"));
  if (schedule.scratch_blocks > 0) text += ", " + count_of(schedule.scratch_blocks, "scratch slot");
  if (schedule.lanes > 1) text += ", " + count_of(schedule.lanes, "lane");
  return text + "\n";
}

std::string repeat_line(const Repeat& repeat) {
  std::string text = fmt::format("     repeat {} times", repeat.times);
  if (repeat.block_shift != 0) text += fmt::format(", blocks {:+}", repeat.block_shift);
  if (repeat.peer_shift != 0) text += fmt::format(", peers {:+}", repeat.peer_shift);
  return text + ":\n";
}

// What is said of a step behind its operands. A dependency on the same or a later step is on the round
// before.
std::string notes(const Schedule& schedule, std::uint32_t index) {
  const Step& step = schedule.steps[index];
  std::string text = step.finish ? "finishes" : "";
  bool first = true;
  for (const std::uint32_t dep : schedule.dependencies(step)) {
    text += fmt::format("{}{}{}", first ? (text.empty() ? "after " : "; after ") : ", ", dep,
                        dep >= index ? " of the round before" : "");
    first = false;
  }
  return text.empty() ? text : "   (" + text + ")";
}

}  // namespace

std::string to_text(const Schedule& schedule, Rank self) {
  std::string text = header(schedule, self);
  auto repeat = schedule.repeats.begin();
  for (std::uint32_t s = 0; s < schedule.steps.size(); ++s) {
    if (repeat != schedule.repeats.end() && s == repeat->first_step) text += repeat_line(*repeat);
    const bool inside = repeat != schedule.repeats.end() && s >= repeat->first_step;
    fmt::format_to(std::back_inserter(text), "{:>4}  {}{}{}\n", s, inside ? "  " : "",
                   words_for(schedule.steps[s], schedule), notes(schedule, s));
    if (inside && s + 1 == repeat->first_step + repeat->steps) ++repeat;
  }
  return text;
}

std::string to_text(const Levels& levels) {
  return fmt::format("hosts {}, groups {}", fmt::join(levels.host_of(), " "),
                     fmt::join(levels.group_of(), " "));
}

}  // namespace hansa
