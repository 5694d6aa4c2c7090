#include "schedule/check_graph.hpp"

#include <fmt/format.h>

namespace hansa::proof {

const char* words_for(Why why) {
  switch (why) {
    case Why::kDependency:
      return "on which it depends";
    case Why::kSendOrder:
      return "which sends on the same channel first";
    case Why::kReceiveOrder:
      return "which receives on the same channel first";
    case Why::kMessage:
      return "whose message it receives";
    case Why::kPosted:
      return "before which its receiver has no place for its message";
    case Why::kSlots:
      return "which has to empty the channel";
    case Why::kChunkOrder:
      return "its chunk before";
    case Why::kWindow:
      return "as scratch for more chunks does not exist";
  }
  return "";
}

bool Graph::sort() {
  first_.assign(nodes_ + 1, 0);
  for (const Edge& edge : edges_) ++first_[edge.to + 1];
  for (std::size_t n = 0; n < nodes_; ++n) first_[n + 1] += first_[n];
  before_.resize(edges_.size());
  std::vector<std::uint32_t> fill(first_.begin(), first_.end() - 1);
  for (const Edge& edge : edges_) before_[fill[edge.to]++] = {edge.from, edge.why};
  edges_ = {};
  order_.reserve(nodes_);
  std::vector<std::uint8_t> colours(nodes_, 0);
  for (Node root = 0; root < nodes_; ++root)
    if (!visit(root, colours)) return false;
  position_.resize(nodes_);
  for (std::uint32_t p = 0; p < nodes_; ++p) position_[order_[p]] = p;
  return true;
}

// Depth first over what an event waits for; the path of open events is the cycle if it meets itself.
bool Graph::visit(Node root, std::vector<std::uint8_t>& colours) {
  constexpr std::uint8_t kOpen = 1, kDone = 2;
  if (colours[root] == kDone) return true;
  struct Open {
    Node node;
    std::uint32_t next;
  };
  std::vector<Open> path{{root, first_[root]}};
  colours[root] = kOpen;
  while (!path.empty()) {
    Open& top = path.back();
    if (top.next == first_[top.node + 1]) {
      colours[top.node] = kDone;
      order_.push_back(top.node);
      path.pop_back();
      continue;
    }
    const Before& edge = before_[top.next++];
    if (colours[edge.node] == kDone) continue;
    if (colours[edge.node] == kOpen) {
      std::size_t at = path.size();
      do {
        --at;
        const Before& taken = before_[path[at].next - 1];
        cycle_.push_back({taken.node, path[at].node, taken.why});
      } while (path[at].node != edge.node);
      return false;
    }
    colours[edge.node] = kOpen;
    path.push_back({edge.node, first_[edge.node]});
  }
  return true;
}

std::string Graph::describe_cycle(const std::function<std::string(Node)>& name) const {
  std::string text;
  for (auto edge = cycle_.rbegin(); edge != cycle_.rend(); ++edge)
    text += fmt::format("{}{} waits for {}, {}", text.empty() ? "deadlock: " : "; ", name(edge->to),
                        name(edge->from), words_for(edge->why));
  return text;
}

}  // namespace hansa::proof
