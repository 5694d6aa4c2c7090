// What combinators put schedules together with.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "hansa/schedule.hpp"

namespace hansa {

// What becomes of the names in one part.
struct Renaming {
  std::function<std::uint32_t(std::uint32_t)> block = [](std::uint32_t id) { return id; };
  std::function<Rank(Rank)> rank = [](Rank peer) { return peer; };
  std::uint32_t scratch = 0;  // added to slots
  std::uint16_t lane = 0;     // added to lanes
};

// Takes steps over with new names. One whose new ids are no Blocks becomes several.
class Assembly {
 public:
  Assembly(Rank ranks, std::uint32_t blocks, std::uint32_t scratch_blocks, int lanes);

  // From here on, steps also wait for all steps so far that they conflict with.
  void follow() { followed_ = static_cast<std::uint32_t>(to_.steps.size()); }

  void append(const Schedule& part, const Renaming& names);

  // The steps that one step became.
  struct Pieces {
    std::uint32_t begin, end;
  };
  // One step of `from`, which has no repeats; `earlier`: what became of those before it.
  Pieces append(const Schedule& from, const Step& step, const Renaming& names,
                const std::vector<Pieces>& earlier);

  Schedule take() && { return std::move(to_); }

 private:
  Operand renamed(const Schedule& from, Operand operand, const Renaming& names, const Blocks& front,
                  std::size_t done) const;
  void add_dependencies(Step& piece, std::span<const std::uint32_t> deps, const std::vector<Pieces>& earlier);

  Schedule to_;
  std::uint32_t followed_ = 0;
};

}  // namespace hansa
