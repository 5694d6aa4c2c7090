#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <vector>

#include "schedule/print.hpp"
#include "schedule/print_words.hpp"

namespace hansa {
namespace {

// In pixels.
constexpr int kColumn = 230, kBox = 190, kLine = 13, kBoxHeight = 2 * kLine + 8, kGap = 8, kRowGap = 46,
              kRowGapAlone = 16, kTop = 40;
constexpr std::size_t kLetters = 30;  // that fit a box
constexpr const char* kLaneColours[] = {"#1f6fb4", "#c2571a", "#2e8b57", "#8a4fae"};

struct Box {
  Rank rank;
  std::uint32_t step;
  std::uint32_t row = 0;
  int x = 0, y = 0;
};

struct Arrow {
  std::uint32_t from, to;  // boxes
  std::uint16_t lane;
};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string shortened(const std::string& text) {
  return text.size() <= kLetters ? text : text.substr(0, kLetters - 2) + "..";
}

class Picture {
 public:
  Picture(std::span<const Schedule> by_rank, Rank only) : only_(only) {
    for (const Schedule& schedule : by_rank) {
      first_.push_back(static_cast<std::uint32_t>(boxes_.size()));
      schedules_.push_back(expand(schedule));
      for (std::uint32_t s = 0; s < schedules_.back().steps.size(); ++s)
        boxes_.push_back({static_cast<Rank>(schedules_.size() - 1), s});
    }
    match();
    sink();
    place();
  }

  std::string draw() {
    out_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"monospace\" font-size=\"10\">\n<defs>",
        width_, height_);
    for (const char* colour : kLaneColours) marker(colour);
    marker("#d00000");
    out_ += "</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
    for (Rank rank = 0; rank < static_cast<Rank>(schedules_.size()); ++rank)
      if (shown(rank))
        print("<text x=\"{}\" y=\"22\" font-size=\"13\" text-anchor=\"middle\">rank {}</text>\n",
              column(rank) + kBox / 2, rank);
    for (std::uint32_t b = 0; b < boxes_.size(); ++b)
      if (shown(boxes_[b].rank)) dependencies(b);
    for (std::uint32_t b = 0; b < boxes_.size(); ++b)
      if (shown(boxes_[b].rank)) box(b);
    for (const Arrow& each : arrows_) arrow(each);
    for (const Arrow& each : arrows_) stubs(each);
    for (const auto& [b, outgoing] : unmatched_)
      if (shown(boxes_[b].rank)) stub(b, outgoing, "#d00000");
    return out_ + "</svg>\n";
  }

 private:
  template <class... Args>
  void print(fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), text, std::forward<Args>(args)...);
  }
  bool shown(Rank rank) const { return only_ < 0 || rank == only_; }
  int column(Rank rank) const { return (kColumn - kBox) / 2 + (only_ < 0 ? rank : 0) * kColumn; }
  static const char* colour(std::uint16_t lane) { return kLaneColours[lane % std::size(kLaneColours)]; }

  // Pairs the k-th message sent on a channel with the k-th received.
  void match() {
    struct Ends {
      std::vector<std::uint32_t> sent, received;
    };
    std::map<std::tuple<Rank, Rank, std::uint16_t>, Ends> channels;
    for (std::uint32_t b = 0; b < boxes_.size(); ++b) {
      const Schedule& schedule = schedules_[static_cast<std::size_t>(boxes_[b].rank)];
      const Step& step = schedule.steps[boxes_[b].step];
      for (const Operand& o : schedule.sources(step))
        if (o.place == Place::kPeer) channels[{o.peer, boxes_[b].rank, o.lane}].received.push_back(b);
      for (const Operand& o : schedule.destinations(step))
        if (o.place == Place::kPeer) channels[{boxes_[b].rank, o.peer, o.lane}].sent.push_back(b);
    }
    for (const auto& [channel, ends] : channels) {
      const std::size_t pairs = std::min(ends.sent.size(), ends.received.size());
      for (std::size_t k = 0; k < pairs; ++k)
        arrows_.push_back({ends.sent[k], ends.received[k], std::get<2>(channel)});
      for (std::size_t k = pairs; k < ends.sent.size(); ++k) unmatched_.emplace_back(ends.sent[k], true);
      for (std::size_t k = pairs; k < ends.received.size(); ++k)
        unmatched_.emplace_back(ends.received[k], false);
      for (const auto* list : {&ends.sent, &ends.received})
        for (std::size_t k = 1; k < list->size(); ++k) turns_.emplace_back((*list)[k - 1], (*list)[k]);
    }
  }

  // Every box sinks below all it waits for, a message by a row; circles are left for the bottom.
  void sink() {
    struct After {
      std::uint32_t box, rows;
    };
    std::vector<std::vector<After>> after(boxes_.size());
    std::vector<std::uint32_t> waits(boxes_.size(), 0), ready;
    const auto add = [&](std::uint32_t a, std::uint32_t b, std::uint32_t rows) {
      after[a].push_back({b, rows});
      ++waits[b];
    };
    for (std::uint32_t b = 0; b < boxes_.size(); ++b) {
      const auto rank = static_cast<std::size_t>(boxes_[b].rank);
      for (const std::uint32_t dep : schedules_[rank].dependencies(schedules_[rank].steps[boxes_[b].step]))
        add(first_[rank] + dep, b, 0);
    }
    for (const auto& [a, b] : turns_)
      if (a != b) add(a, b, 0);
    for (const Arrow& each : arrows_) add(each.from, each.to, 1);
    for (std::uint32_t b = 0; b < boxes_.size(); ++b)
      if (waits[b] == 0) ready.push_back(b);
    for (std::size_t next = 0; next < ready.size(); ++next)
      for (const auto& [b, rows] : after[ready[next]]) {
        boxes_[b].row = std::max(boxes_[b].row, boxes_[ready[next]].row + rows);
        last_row_ = std::max(last_row_, boxes_[b].row);
        if (--waits[b] == 0) ready.push_back(b);
      }
    if (ready.size() == boxes_.size()) return;
    ++last_row_;
    for (std::uint32_t b = 0; b < boxes_.size(); ++b)
      if (waits[b] > 0) boxes_[b].row = last_row_;
  }

  // Boxes of one rank and row stand in list order below each other.
  void place() {
    std::vector<std::vector<int>> fill(last_row_ + 1, std::vector<int>(schedules_.size(), 0));
    for (Box& box : boxes_)
      if (shown(box.rank)) box.y = fill[box.row][static_cast<std::size_t>(box.rank)]++ * (kBoxHeight + kGap);
    std::vector<int> top(last_row_ + 2, kTop);
    for (std::uint32_t row = 0; row <= last_row_; ++row) {
      const int most = *std::max_element(fill[row].begin(), fill[row].end());
      top[row + 1] =
          top[row] + (most > 0 ? most * (kBoxHeight + kGap) + (only_ < 0 ? kRowGap : kRowGapAlone) : 0);
    }
    for (Box& box : boxes_) {
      box.x = column(box.rank);
      box.y += top[box.row];
    }
    width_ = kColumn * (only_ < 0 ? static_cast<int>(schedules_.size()) : 1);
    height_ = top[last_row_ + 1];
  }

  void marker(const char* fill) {
    print(
        "<marker id=\"tip{}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
        "orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"{}\"/></marker>",
        fill + 1, fill);
  }

  void box(std::uint32_t number) {
    const Box& box = boxes_[number];
    const Schedule& schedule = schedules_[static_cast<std::size_t>(box.rank)];
    const Step& step = schedule.steps[box.step];
    const std::string words = words_for(step, schedule);
    const std::size_t arrow = words.find(" -> ");
    print(
        "<g><title>step {}: {}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\" "
        "fill=\"{}\" "
        "stroke=\"#555555\"/>",
        box.step, escaped(words), box.x, box.y, kBox, kBoxHeight, step.finish ? "#dff0d8" : "#f4f4f4");
    print("<text x=\"{}\" y=\"{}\">{}</text>", box.x + 5, box.y + kLine,
          escaped(shortened(fmt::format("{}: {}", box.step, words.substr(0, arrow)))));
    print("<text x=\"{}\" y=\"{}\">{}</text></g>\n", box.x + 5, box.y + 2 * kLine,
          escaped(shortened("-> " + words.substr(arrow + 4))));
  }

  void dependencies(std::uint32_t number) {
    const Box& box = boxes_[number];
    const auto rank = static_cast<std::size_t>(box.rank);
    for (const std::uint32_t dep : schedules_[rank].dependencies(schedules_[rank].steps[box.step])) {
      const Box& other = boxes_[first_[rank] + dep];
      const int x = box.x + 12, from = other.y + kBoxHeight, bend = box.x - 10;
      if (box.y - from <= kRowGap)
        print("<path d=\"M{0} {1}L{0} {2}\" stroke=\"#aaaaaa\" fill=\"none\"/>\n", x, from, box.y);
      else
        print("<path d=\"M{0} {1}C{2} {3} {2} {4} {0} {5}\" stroke=\"#aaaaaa\" fill=\"none\"/>\n", x, from,
              bend, from + 15, box.y - 15, box.y);
    }
  }

  // From below the sender to above the receiver, so that messages to the next row cross no box.
  void arrow(const Arrow& message) {
    const Box &from = boxes_[message.from], &to = boxes_[message.to];
    if (!shown(from.rank) || !shown(to.rank)) return;
    print(
        "<path d=\"M{} {}L{} {}\" stroke=\"{}\" stroke-opacity=\"0.7\" fill=\"none\" "
        "marker-end=\"url(#tip{})\"/>\n",
        from.x + kBox / 2, from.y + kBoxHeight, to.x + kBox / 2, to.y, colour(message.lane),
        colour(message.lane) + 1);
  }

  void stubs(const Arrow& message) {
    if (only_ < 0) return;
    if (shown(boxes_[message.from].rank)) stub(message.from, true, colour(message.lane));
    if (shown(boxes_[message.to].rank)) stub(message.to, false, colour(message.lane));
  }

  // A message whose other end is not in the picture: in on the left, out on the right.
  void stub(std::uint32_t number, bool outgoing, const char* stroke) {
    const Box& box = boxes_[number];
    const int x = outgoing ? box.x + kBox : box.x - 18, y = box.y + kBoxHeight / 2;
    print("<path d=\"M{} {}h18\" stroke=\"{}\" marker-end=\"url(#tip{})\"/>\n", x, y, stroke, stroke + 1);
  }

  Rank only_;
  std::vector<Schedule> schedules_;
  std::vector<std::uint32_t> first_;  // boxes, by rank
  std::vector<Box> boxes_;
  std::vector<Arrow> arrows_;
  std::vector<std::pair<std::uint32_t, bool>> unmatched_;       // box, outgoing
  std::vector<std::pair<std::uint32_t, std::uint32_t>> turns_;  // on one channel
  std::uint32_t last_row_ = 0;
  int width_ = 0, height_ = 0;
  std::string out_;
};

}  // namespace

std::string to_svg(std::span<const Schedule> by_rank, Rank only) { return Picture(by_rank, only).draw(); }

}  // namespace hansa
