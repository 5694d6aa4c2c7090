#include "bootstrap/roll.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>

namespace hansa::bootstrap {
namespace {

constexpr std::size_t kMostCall = 512;  // characters of one call
constexpr std::size_t kMostWaits = 64;  // ranks or processes that one rank names

template <class Number>
void write_numbers(ByteWriter* to, const std::vector<Number>& numbers) {
  const std::size_t count = std::min(numbers.size(), kMostWaits);
  to->number(static_cast<std::uint8_t>(count));
  for (std::size_t i = 0; i < count; ++i) to->number(numbers[i]);
}

template <class Number>
bool read_numbers(ByteReader* from, std::vector<Number>* out) {
  const auto count = from->number<std::uint8_t>();
  if (count > kMostWaits) return false;
  out->clear();
  for (int i = 0; i < count && from->ok(); ++i) out->push_back(from->number<Number>());
  return from->ok();
}

bool read_flag(ByteReader* from, bool* out) {
  const auto byte = from->number<std::uint8_t>();
  *out = byte == 1;
  return byte <= 1;
}

// As ps shows it, X where there is no such process; 0: not known.
char state_of(std::int32_t pid) {
  errno = 0;
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  if (!file) return errno == ENOENT || errno == ESRCH ? 'X' : '\0';
  std::string line;
  std::getline(file, line);
  // "PID (name) STATE ...": the name may have anything in it.
  const std::size_t end = line.rfind(") ");
  return end != std::string::npos && end + 2 < line.size() ? line[end + 2] : '\0';
}

void write_call(ByteWriter* to, const std::string& call) {
  to->text(std::string_view(call).substr(0, kMostCall));
}

}  // namespace

std::vector<std::byte> RaisedConcern::encode() const {
  ByteWriter writer;
  writer.number(rank);
  writer.number(static_cast<std::uint8_t>(concern.why));
  writer.number(concern.number);
  write_call(&writer, concern.detail);
  return writer.take();
}

bool RaisedConcern::parse(BytesView bytes, RaisedConcern* out) {
  ByteReader reader(bytes);
  out->rank = reader.number<Rank>();
  const auto why = reader.number<std::uint8_t>();
  out->concern.number = reader.number<std::uint64_t>();
  out->concern.detail = reader.text(kMostCall);
  if (why > static_cast<std::uint8_t>(Concern::Why::kMismatch)) return false;
  out->concern.why = static_cast<Concern::Why>(why);
  return reader.done() && out->rank >= 0 && out->rank < kMostRanks;
}

std::vector<std::byte> RollCall::encode() const {
  ByteWriter writer;
  writer.number(sequence);
  writer.number(number);
  return writer.take();
}

bool RollCall::parse(BytesView bytes, RollCall* out) {
  ByteReader reader(bytes);
  out->sequence = reader.number<std::uint64_t>();
  out->number = reader.number<std::uint64_t>();
  return reader.done();
}

std::vector<std::byte> Presence::encode() const {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(whereabouts.state));
  writer.number(static_cast<std::uint8_t>(whereabouts.collective));
  writer.number(whereabouts.number);
  writer.number(whereabouts.since_ms);
  write_call(&writer, whereabouts.call);
  write_numbers(&writer, whereabouts.waits_for);
  writer.number(whereabouts.asked_signature);
  write_call(&writer, whereabouts.asked_call);
  const std::size_t count = std::min(elsewhere.size(), kMostElsewhere);
  writer.number(static_cast<std::uint8_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    write_call(&writer, elsewhere[i].call);
    write_numbers(&writer, elsewhere[i].waits_for);
  }
  return writer.take();
}

bool Presence::parse(BytesView bytes, Rank ranks, Presence* out) {
  ByteReader reader(bytes);
  Whereabouts& is = out->whereabouts;
  const auto state = reader.number<std::uint8_t>();
  if (state > static_cast<std::uint8_t>(Whereabouts::State::kLeft)) return false;
  is.state = static_cast<Whereabouts::State>(state);
  if (!read_flag(&reader, &is.collective)) return false;
  is.number = reader.number<std::uint64_t>();
  is.since_ms = reader.number<std::uint32_t>();
  is.call = reader.text(kMostCall);
  if (!read_numbers(&reader, &is.waits_for)) return false;
  for (const Rank rank : is.waits_for)
    if (rank < 0 || rank >= ranks) return false;
  is.asked_signature = reader.number<std::uint32_t>();
  is.asked_call = reader.text(kMostCall);
  const auto count = reader.number<std::uint8_t>();
  if (count > kMostElsewhere) return false;
  out->elsewhere.clear();
  for (int i = 0; i < count; ++i) {
    Elsewhere other;
    other.call = reader.text(kMostCall);
    if (!read_numbers(&reader, &other.waits_for)) return false;
    out->elsewhere.push_back(std::move(other));
  }
  return reader.done();
}

std::vector<std::byte> encode_verdict(const Verdict& verdict) {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(verdict.late));
  writer.number(verdict.speaker);
  write_numbers(&writer, verdict.missing);
  writer.text(std::string_view(verdict.text).substr(0, kMostText));
  return writer.take();
}

bool parse_verdict(BytesView bytes, Rank ranks, Verdict* out) {
  ByteReader reader(bytes);
  if (!read_flag(&reader, &out->late)) return false;
  out->speaker = reader.number<Rank>();
  if (out->speaker < -1 || out->speaker >= ranks || !read_numbers(&reader, &out->missing)) return false;
  for (const Rank rank : out->missing)
    if (rank < 0 || rank >= ranks) return false;
  out->text = reader.text(kMostText);
  return reader.done();
}

bool still_in(const Whereabouts& is, std::uint64_t number) {
  if (is.state != Whereabouts::State::kInside) return false;
  return number == 0 ? !is.collective : is.collective && is.number == number;
}

bool is_stopped(std::int32_t pid) {
  const char state = state_of(pid);
  return state == 'T' || state == 't';
}

bool has_ended(std::int32_t pid) {
  const char state = state_of(pid);
  return state == 'Z' || state == 'X';
}

}  // namespace hansa::bootstrap
