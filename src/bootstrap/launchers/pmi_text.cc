#include "bootstrap/launchers/pmi_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace hansa::bootstrap {
namespace {

constexpr std::size_t kMostFields = 64;

// "name=value" into `answer`; the first is the command's.
bool add_field(std::string_view name, std::string value, PmiAnswer* answer) {
  if (name.empty()) return false;
  if (answer->command.empty()) {
    answer->command = std::move(value);
    return name == "cmd" && !answer->command.empty();
  }
  answer->fields.emplace(name, std::move(value));
  return answer->fields.size() <= kMostFields;
}

struct Run {
  std::uint32_t first = 0, hosts = 0, each = 0;
};

class MappingReader {
 public:
  explicit MappingReader(std::string_view text) : rest_(text) {}
  bool word(std::string_view expected) {
    if (rest_.substr(0, expected.size()) != expected) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  bool number(std::uint32_t* into) {
    const auto [at, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *into);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(at - rest_.data()));
    return true;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::optional<std::vector<Run>> parse_mapping(std::string_view text) {
  MappingReader reader(text);
  std::vector<Run> runs;
  if (!reader.word("(vector")) return std::nullopt;
  while (reader.word(",(")) {
    Run run;
    if (!reader.number(&run.first) || !reader.word(",") || !reader.number(&run.hosts) || !reader.word(",") ||
        !reader.number(&run.each) || !reader.word(")"))
      return std::nullopt;
    if (run.hosts == 0 || run.each == 0 || run.first > UINT32_MAX - run.hosts) return std::nullopt;
    runs.push_back(run);
  }
  if (runs.empty() || !reader.word(")") || !reader.done()) return std::nullopt;
  return runs;
}

// Calls visit(first rank, ranks, host) for each run of ranks on a host, in order of ranks.
template <class Visit>
void for_each_host(const std::vector<Run>& runs, std::uint32_t ranks, const Visit& visit) {
  std::uint32_t next = 0;
  while (next < ranks) {
    for (const Run& run : runs) {
      for (std::uint32_t host = 0; host < run.hosts && next < ranks; ++host) {
        const std::uint32_t here = std::min(run.each, ranks - next);
        visit(next, here, run.first + host);
        next += here;
      }
    }
  }
}

}  // namespace

std::string_view PmiAnswer::field(std::string_view name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

bool PmiAnswer::succeeded() const {
  const std::string_view code = field("rc");
  return code.empty() || code == "0";
}

std::optional<PmiAnswer> parse_pmi1(std::string_view line) {
  PmiAnswer answer;
  while (!line.empty()) {
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(word.size() + 1, line.size()));
    if (word.empty()) continue;
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    if (!add_field(word.substr(0, equals), std::string(word.substr(equals + 1)), &answer))
      return std::nullopt;
  }
  if (answer.command.empty()) return std::nullopt;
  return answer;
}

std::optional<PmiAnswer> parse_pmi2(std::string_view body) {
  PmiAnswer answer;
  while (!body.empty()) {
    const auto equals = body.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = body.substr(0, equals);
    body.remove_prefix(equals + 1);
    std::string value;
    for (;;) {
      const auto end = body.find(';');
      if (end == std::string_view::npos) return std::nullopt;
      value += body.substr(0, end);
      body.remove_prefix(end + 1);
      if (body.empty() || body.front() != ';') break;
      value += ';';
      body.remove_prefix(1);
    }
    if (!add_field(name, std::move(value), &answer)) return std::nullopt;
  }
  if (answer.command.empty()) return std::nullopt;
  return answer;
}

std::optional<std::size_t> parse_pmi2_length(std::string_view digits) {
  if (digits.size() != kPmi2LengthBytes) return std::nullopt;
  const auto first = digits.find_first_not_of(' ');
  if (first == std::string_view::npos) return std::nullopt;
  digits = digits.substr(first, digits.find_last_not_of(' ') - first + 1);
  const auto length = number_in(digits);
  if (!length || static_cast<std::size_t>(*length) > kMostPmi2Bytes) return std::nullopt;
  return static_cast<std::size_t>(*length);
}

std::optional<std::int32_t> number_in(std::string_view text) {
  std::int32_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::string with_pmi2_length(std::string_view body) { return fmt::format("{:6}{}", body.size(), body); }

std::optional<LocalPlace> find_local_place(std::string_view mapping, Rank rank, Rank ranks) {
  const auto runs = parse_mapping(mapping);
  if (!runs || rank < 0 || rank >= ranks) return std::nullopt;
  const auto self = static_cast<std::uint32_t>(rank), all = static_cast<std::uint32_t>(ranks);
  std::uint32_t own_host = 0;
  for_each_host(*runs, all, [&](std::uint32_t first, std::uint32_t count, std::uint32_t host) {
    if (self >= first && self - first < count) own_host = host;
  });
  LocalPlace place{0, 0};
  for_each_host(*runs, all, [&](std::uint32_t first, std::uint32_t count, std::uint32_t host) {
    if (host != own_host) return;
    place.ranks += static_cast<int>(count);
    if (first <= self) place.rank += static_cast<int>(std::min(count, self - first));
  });
  return place;
}

Status refused_to_put(const std::string& key) {
  return Status(Code::kRemote, fmt::format("the launcher's process manager does not take {}; only one "
                                           "launcher may be made in a process",
                                           key));
}

Status gave_up(const char* what) {
  return Status(
      Code::kRemote,
      fmt::format("the launcher's process manager gave the {} up; look for ranks that have ended", what));
}

Status put_nothing_as(const std::string& key) {
  return Status(Code::kRemote,
                fmt::format("rank 0 has put no {}; does every rank run the same program?", key));
}

}  // namespace hansa::bootstrap
