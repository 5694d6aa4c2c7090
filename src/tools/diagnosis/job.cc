#include "tools/diagnosis/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace hansa::diagnosis {
namespace {

using Json = nlohmann::json;
using control::OperationClass;

// What a dump may be refused for, besides being no JSON of the right shape.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::int64_t whole(const Json& from, const char* name, std::int64_t least, std::int64_t most) {
  const Json& value = from.at(name);
  if (!value.is_number_integer() || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(most)))
    throw Refused(fmt::format("\"{}\" is out of range", name));
  return value.get<std::int64_t>();
}

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostRanks = std::numeric_limits<Rank>::max();
// Times that differences of do not overflow: until the year 2116.
constexpr std::int64_t kMostTime = kMost / 2;

std::uint64_t amount(const Json& from, const char* name) {
  return static_cast<std::uint64_t>(whole(from, name, 0, kMost));
}
std::int64_t time(const Json& from, const char* name) { return whole(from, name, 0, kMostTime); }

template <class Value, std::size_t kCount>
Value one_of(const Json& from, const char* name, const std::pair<std::string_view, Value> (&words)[kCount]) {
  const auto text = from.at(name).get<std::string>();
  for (const auto& [word, value] : words)
    if (text == word) return value;
  throw Refused(fmt::format("\"{}\" is \"{}\", which means nothing", name, text));
}

Operation operation_of(const Json& from) {
  Operation operation;
  operation.kind = one_of<OperationClass>(from, "class",
                                          {{"collective", OperationClass::kCollective},
                                           {"messages", OperationClass::kMessages},
                                           {"one-sided", OperationClass::kOneSided}});
  operation.state = one_of<Operation::State>(from, "state",
                                             {{"started", Operation::State::kStarted},
                                              {"done", Operation::State::kDone},
                                              {"failed", Operation::State::kFailed}});
  operation.number = amount(from, "number");
  operation.text = from.at("text").get<std::string>();
  operation.signature = amount(from, "signature");
  operation.bytes = amount(from, "bytes");
  operation.started_ns = time(from, "started_ns");
  operation.ended_ns = time(from, "ended_ns");
  if (operation.kind == OperationClass::kCollective) {
    operation.collective = from.at("collective").get<std::string>();
    operation.algorithm = from.at("algorithm").get<std::string>();
    return operation;
  }
  for (const Json& one : from.at("messages"))
    operation.messages.push_back({one.at("kind").get<std::string>(),
                                  static_cast<Rank>(whole(one, "peer", 0, kMostRanks)),
                                  amount(one, "bytes")});
  return operation;
}

Membership membership_of(const Json& from) {
  Membership one;
  one.number = from.at("number").get<std::string>();
  one.name = from.at("name").get<std::string>();
  one.ranks = static_cast<Rank>(whole(from, "ranks", 1, kMostRanks));
  one.rank = static_cast<Rank>(whole(from, "rank", 0, one.ranks - 1));
  one.state = from.at("state").get<std::string>();
  one.transports = from.at("transports").get<std::string>();
  one.failure = from.at("failure").get<std::string>();
  one.failed_ns = time(from, "failed_ns");
  one.late = from.at("late").get<std::string>();
  one.late_told_ns = time(from, "late_told_ns");
  one.opened_ns = time(from, "opened_ns");
  one.closed_ns = time(from, "closed_ns");
  one.begun = amount(from, "begun");
  one.bytes = amount(from, "bytes");
  if (const auto rails = from.find("rails"); rails != from.end()) {
    one.rails = amount(*rails, "count");
    one.rails_down = amount(*rails, "down");
    one.rails_lost = amount(*rails, "lost");
    one.rails_back = amount(*rails, "back");
    one.resent = amount(*rails, "resent");
  }
  for (const Json& operation : from.at("operations")) one.operations.push_back(operation_of(operation));
  return one;
}

}  // namespace

std::string Membership::label() const {
  const std::string short_number = number.substr(0, 8);
  return name.empty() ? short_number : fmt::format("\"{}\" ({})", name, short_number);
}

const Operation* Membership::unfinished() const {
  const Operation* last = newest();
  return last != nullptr && last->state != Operation::State::kDone ? last : nullptr;
}

std::string duration(std::int64_t ns) {
  return ns >= 1'000'000'000 ? fmt::format("{:.1f} s", 1e-9 * static_cast<double>(ns))
                             : fmt::format("{} ms", std::max<std::int64_t>(ns, 0) / 1'000'000);
}

Result<RankOfJob> parse_dump(std::string_view json) try {
  const Json all = Json::parse(json);
  const Json& ours = all.at("hansa");
  if (whole(ours, "format", 0, kMost) != 1)
    return Status(Code::kUnsupported, "the dump is of another version of this library");
  RankOfJob rank;
  rank.rank = static_cast<Rank>(whole(all, "rank", 0, kMostRanks));
  rank.host = ours.at("host").get<std::string>();
  rank.pid = whole(ours, "pid", 0, kMost);
  rank.dumped_ns = time(ours, "dumped_ns");
  rank.reason = ours.at("reason").get<std::string>();
  for (const Json& one : ours.at("communicators")) rank.memberships.push_back(membership_of(one));
  return rank;
} catch (const Json::exception& error) {
  return Status(Code::kInvalidArgument, fmt::format("this is no dump of `hansa dump`: {}", error.what()));
} catch (const Refused& error) {
  return Status(Code::kInvalidArgument, fmt::format("this is no dump of `hansa dump`: {}", error.what()));
}

}  // namespace hansa::diagnosis
