#include "transports/rails/wire.hpp"

#include <cstring>

namespace hansa::rails {
namespace {

constexpr std::uint32_t kMagic = 0x314c4948;  // "HIL1"
constexpr std::size_t kMostRails = 16;

struct AgainWords {
  Trailer piece;
  std::uint32_t stamp, lane;
};
static_assert(sizeof(AgainWords) == 32 && sizeof(AgainWords) + 8 <= kRoom);

struct ReportWords {
  std::uint64_t round;
  std::uint32_t flags, lanes;
};
constexpr std::uint32_t kParting = 1, kHeard = 2;

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

template <class Words>
std::uint32_t put_behind(std::byte* slot, std::size_t payload, const Words& words) {
  std::memcpy(slot + padded(payload), &words, sizeof words);
  return static_cast<std::uint32_t>(padded(payload) + sizeof words);
}

template <class Words>
bool get_last(BytesView message, Words& words) {
  if (message.size() < sizeof words) return false;
  std::memcpy(&words, message.data() + message.size() - sizeof words, sizeof words);
  return true;
}

bool holds(const Trailer& trailer, std::size_t most, std::size_t room) {
  return trailer.zero == 0 && trailer.bytes <= most && padded(trailer.bytes) == room;
}

}  // namespace

std::uint32_t seal(std::byte* slot, const Trailer& trailer) {
  return put_behind(slot, trailer.bytes, trailer);
}

std::optional<Trailer> unseal(BytesView message, std::size_t most) {
  Trailer trailer;
  if (!get_last(message, trailer) || !holds(trailer, most, message.size() - sizeof trailer))
    return std::nullopt;
  return trailer;
}

std::uint32_t write(std::byte* slot, const Ask& ask) {
  std::memcpy(slot, &ask.round, sizeof ask.round);
  return sizeof ask.round;
}

std::optional<Ask> read_ask(BytesView message) {
  Ask ask;
  if (message.size() != sizeof ask.round) return std::nullopt;
  std::memcpy(&ask.round, message.data(), sizeof ask.round);
  return ask;
}

std::uint32_t write(std::byte* slot, const Report& report) {
  const ReportWords words{report.round, (report.parting ? kParting : 0) | (report.heard ? kHeard : 0),
                          report.lanes};
  std::memcpy(slot, &words, sizeof words);
  std::memcpy(slot + sizeof words, report.counts.data(), report.lanes * sizeof(Counts));
  return static_cast<std::uint32_t>(report_bytes(report.lanes));
}

std::optional<Report> read_report(BytesView message, std::size_t lanes) {
  ReportWords words;
  if (lanes > kMostLanes || message.size() != report_bytes(lanes)) return std::nullopt;
  std::memcpy(&words, message.data(), sizeof words);
  if (words.flags > (kParting | kHeard) || words.lanes != lanes) return std::nullopt;
  Report report{words.round, (words.flags & kParting) != 0, (words.flags & kHeard) != 0, words.lanes, {}};
  std::memcpy(report.counts.data(), message.data() + sizeof words, lanes * sizeof(Counts));
  return report;
}

std::uint32_t write(std::byte* slot, const Again& again) {
  return put_behind(slot, again.piece.bytes, AgainWords{again.piece, again.stamp, again.lane});
}

std::optional<Again> read_again(BytesView message, std::size_t most, std::size_t lanes) {
  AgainWords words;
  if (!get_last(message, words) || !holds(words.piece, most, message.size() - sizeof words) ||
      words.lane >= lanes)
    return std::nullopt;
  return Again{words.piece, words.stamp, words.lane};
}

std::vector<std::byte> join_addresses(const std::vector<std::vector<std::byte>>& addresses) {
  std::size_t bytes = 2 * sizeof(std::uint32_t);
  for (const auto& address : addresses) bytes += sizeof(std::uint16_t) + address.size();
  std::vector<std::byte> joined(bytes);
  std::byte* at = joined.data();
  const auto put = [&at](const void* from, std::size_t size) {
    if (size > 0) std::memcpy(at, from, size);
    at += size;
  };
  const auto count = static_cast<std::uint32_t>(addresses.size());
  put(&kMagic, sizeof kMagic);
  put(&count, sizeof count);
  for (const auto& address : addresses) {
    const auto size = static_cast<std::uint16_t>(address.size());
    put(&size, sizeof size);
    put(address.data(), address.size());
  }
  return joined;
}

std::optional<std::vector<BytesView>> split_addresses(BytesView joined) {
  const auto number = [&joined](auto& value) {
    if (joined.size() < sizeof value) return false;
    std::memcpy(&value, joined.data(), sizeof value);
    joined = joined.subspan(sizeof value);
    return true;
  };
  std::uint32_t magic = 0, count = 0;
  if (!number(magic) || magic != kMagic || !number(count) || count > kMostRails) return std::nullopt;
  std::vector<BytesView> addresses;
  for (std::uint32_t rail = 0; rail < count; ++rail) {
    std::uint16_t bytes = 0;
    if (!number(bytes) || bytes > joined.size()) return std::nullopt;
    addresses.push_back(joined.first(bytes));
    joined = joined.subspan(bytes);
  }
  if (!joined.empty()) return std::nullopt;
  return addresses;
}

}  // namespace hansa::rails
