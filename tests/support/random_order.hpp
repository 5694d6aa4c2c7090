// Runs all ranks' schedules on numbers, in a random order that the rules of schedule.hpp allow: messages are
// delayed at will and arrive in any order, a step waits as long as it pleases, and the bytes of a message
// that lands in place may do so before their step is counted as run. Knows nothing of the checker, so that
// one can be held against the other.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hansa/algorithm.hpp"
#include "hansa/schedule.hpp"

namespace hansa::test {

class RandomOrder {
 public:
  // `in_place`: input and output blocks of one id are one cell. The schedules stay within their blocks, and
  // every message has a receiver that expects as many blocks.
  RandomOrder(const Query& query, std::span<const Schedule> by_rank, bool in_place);

  // Runs once, in the order that the seed picks. Empty if every promised output is right, else what is not.
  // Wrong numbers pass for right ones with a probability of 2^-64 a block.
  std::string run(std::uint64_t seed);

 private:
  // A step runs, or a message arrives. An event happens once all that it waits for has happened.
  struct Event {
    std::uint32_t waits = 0;
    std::vector<std::uint32_t> followers;
  };
  struct Action {
    std::uint32_t blocks = 0;
    bool finish = false, lands = false;
    // Of every operand, the numbers of its cells; a message has cells of its own.
    std::vector<std::vector<std::uint32_t>> sources, destinations;
  };
  struct Message {
    std::uint32_t sender, receiver;  // actions
  };

  void add_rank(Rank rank, const Schedule& schedule);
  std::vector<std::uint32_t> cells_of(Rank rank, const Operand& operand) const;
  void connect();
  void before(std::uint32_t earlier, std::uint32_t later);
  void happen(std::uint32_t event, bool early);
  void move(const Action& action);
  std::string judge() const;

  Query query_;
  bool in_place_;
  std::uint32_t blocks_;
  std::vector<Event> events_;  // actions, then messages
  std::vector<Action> actions_;
  std::vector<Message> messages_;
  std::vector<std::vector<std::uint32_t>> deps_;  // of actions
  struct End {
    std::uint32_t channel_from, channel_to, lane, action, operand;
  };
  std::vector<End> sent_, received_;       // in list order
  std::vector<std::uint32_t> first_cell_;  // by rank: its input, output and scratch
  std::uint32_t cell_count_ = 0;
  std::vector<std::uint64_t> cells_;
  std::vector<std::uint32_t> waits_, ready_, rank_in_line_;
};

}  // namespace hansa::test
