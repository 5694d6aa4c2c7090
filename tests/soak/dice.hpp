// Random decisions that all ranks make alike: the same seed gives the same throws everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace hansa::test {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t word() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  // Below `end`, which is not 0.
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(word() % end); }
  int rank_below(int end) { return static_cast<int>(below(static_cast<std::size_t>(end))); }
  bool one_in(std::size_t chances) { return below(chances) == 0; }
  template <class List>
  auto one_of(const List& list) {
    return list[below(std::size(list))];
  }
  template <class List>
  void shuffle(List& list) {
    for (std::size_t left = list.size(); left > 1; --left) std::swap(list[left - 1], list[below(left)]);
  }

 private:
  std::uint64_t state_;
};

// Dice for one place of a run, independent of all others.
inline Dice dice_of(std::uint64_t seed, std::uint64_t lane, std::uint64_t epoch) {
  Dice first(seed), second(first.word() ^ lane), third(second.word() ^ epoch);
  return Dice(third.word());
}

}  // namespace hansa::test
