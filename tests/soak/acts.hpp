// What a step does on one communicator, with its buffers: started like the call it is, judged when it is
// done.
#pragma once

#include <memory>
#include <vector>

#include "board.hpp"
#include "dice.hpp"
#include "tests/multiprocess/trial.hpp"

namespace hansa::test {

// A communicator as all ranks of a lane know it, those outside too.
struct Circle {
  std::vector<int> members;  // ranks of the lane, by rank of the communicator
  bool blocking = true;
  ncclComm_t comm = nullptr;  // null where this rank is none of them

  int ranks() const { return static_cast<int>(members.size()); }
  int rank_of(int member) const;  // -1: none of them
  Place place(int member) const { return {.rank = rank_of(member), .ranks = ranks()}; }
};

class Act {
 public:
  virtual ~Act() = default;
  // Makes the call or calls; may be inside a group.
  virtual ncclResult_t start(cudaStream_t stream) = 0;
  // Prints what is wrong.
  virtual bool judge() const = 0;
  virtual std::size_t bytes() const = 0;
};

// Thrown by every rank of the lane alike; null where this rank has no part in it.
std::unique_ptr<Act> throw_collective(Dice& dice, const Seat& seat, const Circle& circle);
std::unique_ptr<Act> throw_messages(Dice& dice, const Seat& seat, const Circle& circle);
// A collective that no rank can end alone.
std::unique_ptr<Act> throw_meeting(Dice& dice, const Seat& seat, const Circle& circle);

}  // namespace hansa::test
