// One rank of one lane: plays epoch after epoch, each a life of its communicators from ids to destruction.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "acts.hpp"
#include "board.hpp"
#include "dice.hpp"
#include "hansa/hansa.h"

namespace hansa::test {

class Player {
 public:
  explicit Player(const Seat& seat);
  ~Player();
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  // Until the run is stopped. Ends the process where anything is wrong.
  void play();

 private:
  using Acts = std::vector<std::unique_ptr<Act>>;

  void play_epoch(std::uint64_t epoch);
  void play_step();

  void collective();
  void group();
  void streams();
  void barrier();
  void split();
  void shrink();
  void destroy();
  void abandon();
  void shrink_away();

  // Makes a circle of all ranks, in an order of its own.
  void found();
  void adopt(Circle circle);
  void leave(std::size_t which);
  std::size_t throw_circle() { return dice_.below(circles_.size()); }
  // One that fits; circles_.size() if there is none.
  std::size_t throw_circle(const std::function<bool(const Circle&)>& fits);
  // Whether this rank gives up the circle at once; the others see an operation of theirs fail.
  bool quit(Circle& circle, int quitter);
  Circle without(const Circle& circle, const std::vector<int>& excluded) const;
  // Until a non-blocking communicator has come to rest.
  ncclResult_t settle(const Circle& circle) const;
  // What a call on the circle has come to in the end.
  ncclResult_t outcome(const Circle& circle, ncclResult_t called) const;
  void judge(const Acts& acts);
  void doing(const char* what) { seat_.tally().doing.store(what, std::memory_order_relaxed); }

  const Seat seat_;
  std::array<hansaStream_t, 2> streams_{};
  std::uint64_t posted_ = 0;
  Dice dice_{0};
  std::vector<Circle> circles_;
  std::unique_ptr<Act> abandoned_;
};

}  // namespace hansa::test
