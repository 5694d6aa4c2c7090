// A directed graph of events with reasons, for the checker: sorted, or the cycle that forbids it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace hansa::proof {

using Node = std::uint32_t;

// Why the later event waits for the earlier one.
enum class Why : std::uint8_t {
  kDependency,    // the schedule says so
  kSendOrder,     // an earlier message of the same channel, at its sender
  kReceiveOrder,  // the same at its receiver
  kMessage,       // the message itself
  kPosted,        // a message that lands in place cannot leave before its receiver is ready
  kSlots,         // the channel is full until an earlier message was consumed
  kChunkOrder,    // the same step's chunk before
  kWindow,        // the slowest step is too far behind
};

// Why an event waits, as the end of a sentence.
const char* words_for(Why why);

struct Edge {
  Node from, to;
  Why why;
};

class Graph {
 public:
  struct Before {
    Node node;
    Why why;
  };

  explicit Graph(std::size_t nodes) : nodes_(nodes) {}
  void add(Node from, Node to, Why why) { edges_.push_back({from, to, why}); }

  // Ends the adding. False if events wait for each other in a circle.
  bool sort();
  // The events, each after all it waits for.
  const std::vector<Node>& order() const { return order_; }
  std::uint32_t position(Node node) const { return position_[node]; }
  std::span<const Before> before(Node node) const {
    return std::span(before_).subspan(first_[node], first_[node + 1] - first_[node]);
  }
  // The circle that forbids the order, in words; `name` names an event.
  std::string describe_cycle(const std::function<std::string(Node)>& name) const;

 private:
  bool visit(Node root, std::vector<std::uint8_t>& colours);

  std::size_t nodes_;
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> first_;
  std::vector<Before> before_;
  std::vector<Node> order_;
  std::vector<std::uint32_t> position_;
  std::vector<Edge> cycle_;  // each edge ends where the next begins, the last where the first begins
};

}  // namespace hansa::proof
