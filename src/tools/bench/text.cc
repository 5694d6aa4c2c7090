#include "tools/bench/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

namespace hansa::bench {
namespace {

constexpr double kMostBytes = 0x1p62;

Status bad(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Takes `word` off the front of `text`, whatever its case.
bool take(std::string_view& text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i)
    if (lower(text[i]) != lower(word[i])) return false;
  text.remove_prefix(word.size());
  return true;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<long> whole_number(std::string_view text, int base) {
  text = trimmed(text);
  if (base == 0) base = take(text, "0b") ? 2 : take(text, "0x") ? 16 : 10;
  long value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || at != end || value < 0) return std::nullopt;
  return value;
}

}  // namespace

Result<std::size_t> parse_size(std::string_view text) {
  const Status wrong =
      bad(fmt::format("\"{}\" is not a size: write bytes, or a number with K, M or G", text));
  std::string_view rest = trimmed(text);
  double value = 0;
  const auto [at, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc() || !(value >= 0)) return wrong;
  rest.remove_prefix(static_cast<std::size_t>(at - rest.data()));
  if (take(rest, "k"))
    value *= 0x1p10;
  else if (take(rest, "m"))
    value *= 0x1p20;
  else if (take(rest, "g"))
    value *= 0x1p30;
  (void)(take(rest, "ib") || take(rest, "b"));
  if (!rest.empty() || value > kMostBytes) return wrong;
  return static_cast<std::size_t>(value);
}

long Split::color(long process) const {
  switch (kind) {
    case Kind::kAnd:
      return process & value;
    case Kind::kOr:
      return process | value;
    case Kind::kModulo:
      return process % value;
    case Kind::kDivide:
      return process / value;
    case Kind::kNone:
      break;
  }
  return 0;
}

Result<Split> parse_split(std::string_view text) {
  using Kind = Split::Kind;
  constexpr std::pair<std::string_view, Kind> kWords[] = {
      {"AND", Kind::kAnd},    {"&", Kind::kAnd},    {"OR", Kind::kOr},      {"|", Kind::kOr},
      {"MOD", Kind::kModulo}, {"%", Kind::kModulo}, {"DIV", Kind::kDivide}, {"/", Kind::kDivide}};
  std::string_view rest = trimmed(text);
  for (const auto& [word, kind] : kWords) {
    if (!take(rest, word)) continue;
    const auto value = whole_number(rest, 0);
    const bool divides = kind == Kind::kModulo || kind == Kind::kDivide;
    if (!value || *value > 0x7fffffff || (divides && *value == 0)) break;
    return Split{kind, *value};
  }
  return bad(
      fmt::format("NCCL_TESTS_SPLIT=\"{}\": must be AND, OR, MOD or DIV and a number, like \"MOD 8\"", text));
}

Result<Split> parse_split_mask(std::string_view text) {
  std::string_view digits = trimmed(text);
  (void)take(digits, "0x");
  const auto value = whole_number(digits, 16);
  if (!value || *value > 0x7fffffff)
    return bad(fmt::format("NCCL_TESTS_SPLIT_MASK=\"{}\": must be a hexadecimal number", text));
  return Split{Split::Kind::kAnd, *value};
}

Result<Matrix> parse_matrix(std::string_view text, double scale) {
  Matrix matrix;
  for (std::size_t row = 0; !text.empty();) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    std::size_t columns = 0;
    for (; !line.empty(); line = trimmed(line), ++columns) {
      double value = 0;
      const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), value);
      line.remove_prefix(static_cast<std::size_t>(at - line.data()));
      value *= scale;
      if (error != std::errc() || (!line.empty() && !is_space(line.front())) ||
          !(value >= 0 && value <= kMostBytes / 65536))
        return bad(
            fmt::format("traffic matrix: row {}, column {} is not a number of bytes", row + 1, columns + 1));
      matrix.bytes.push_back(static_cast<std::size_t>(value) & ~std::size_t{15});
    }
    if (row++ == 0) matrix.n = columns;
    if (columns != matrix.n)
      return bad(
          fmt::format("traffic matrix: row {} has {} numbers, the first has {}", row, columns, matrix.n));
  }
  if (matrix.n == 0 || matrix.bytes.size() != matrix.n * matrix.n)
    return bad("traffic matrix: there must be as many rows as columns, and at least one");
  return matrix;
}

std::string column(double value, int width) {
  char text[64];
  for (int decimals = 2; decimals >= 0; --decimals)
    if (std::snprintf(text, sizeof text, "%*.*f", width, decimals, value) <= width) return text;
  std::snprintf(text, sizeof text, "%*.*e", width, width >= 7 ? 1 : 0, value);
  return text;
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

}  // namespace hansa::bench
