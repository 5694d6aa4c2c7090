#include "core/connections.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hansa {
namespace {

constexpr std::uint8_t kNone = 0xff;

bool named(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (list.substr(0, comma) == name) return true;
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return false;
}

}  // namespace

Result<Connections> Connections::open(Session& session, const TransportOptions& options,
                                      std::string_view forced) {
  Connections all;
  all.self_ = session.rank();
  for (const TransportKind& kind : builtin_transports()) {
    Opened opened;
    opened.failure = !forced.empty() && !named(forced, kind.name)
                         ? Status(Code::kUnsupported, fmt::format("left out by HANSA_TRANSPORT={}", forced))
                         : kind.probe();
    if (opened.failure.ok()) {
      auto result = kind.open(options);
      if (result.ok())
        opened.transport = std::move(result).value();
      else
        opened.failure = result.status();
    }
    all.opened_.push_back(std::move(opened));
  }
  const auto ranks = static_cast<std::size_t>(session.ranks());
  all.owned_.resize(ranks);
  all.endpoints_.resize(ranks);
  all.refusals_.resize(ranks);
  all.choice_.assign(ranks, 0);
  HANSA_RETURN_IF_ERROR(all.exchange_addresses(session));
  HANSA_RETURN_IF_ERROR(all.agree(session));
  return all;
}

std::vector<std::byte> encode_addresses(const std::vector<std::vector<std::byte>>& rows) {
  std::vector<std::byte> bytes;
  for (const auto& address : rows) {
    bytes.push_back(static_cast<std::byte>(address.size() & 0xff));
    bytes.push_back(static_cast<std::byte>(address.size() >> 8));
    bytes.insert(bytes.end(), address.begin(), address.end());
  }
  return bytes;
}

Result<std::vector<std::vector<std::byte>>> parse_addresses(BytesView bytes, std::size_t rows) {
  std::vector<std::vector<std::byte>> parsed;
  while (bytes.size() >= 2) {
    const std::size_t length = std::to_integer<std::size_t>(bytes[0]) | std::to_integer<std::size_t>(bytes[1])
                                                                            << 8;
    bytes = bytes.subspan(2);
    if (length > bytes.size()) break;
    parsed.emplace_back(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    bytes = bytes.subspan(length);
  }
  if (!bytes.empty() || parsed.size() != rows)
    return Status(Code::kInvalidUsage,
                  "it knows other transports than this rank: all ranks must load the same build");
  return parsed;
}

Status Connections::exchange_addresses(Session& session) {
  std::vector<std::vector<std::byte>> mine;
  for (const Opened& row : opened_)
    mine.push_back(row.transport ? row.transport->address() : std::vector<std::byte>());
  HANSA_ASSIGN_OR_RETURN(const auto everyone, session.allgather(encode_addresses(mine)));
  for (std::size_t rank = 0; rank < everyone.size(); ++rank) {
    auto rows = parse_addresses(everyone[rank], opened_.size());
    if (!rows.ok()) return rows.status().within(fmt::format("rank {}", rank));
    address_.push_back(std::move(rows).value());
  }
  return {};
}

Status Connections::connect_from(Rank peer, std::size_t first) {
  const auto index = static_cast<std::size_t>(peer);
  for (std::size_t row = first; row < opened_.size(); ++row) {
    Status refusal = opened_[row].failure;
    if (refusal.ok() && address_[index][row].empty())
      refusal = Status(Code::kUnsupported, fmt::format("not available on rank {}", peer));
    if (refusal.ok()) {
      auto endpoint = opened_[row].transport->connect(peer, address_[index][row]);
      if (endpoint.ok()) {
        owned_[index] = std::move(endpoint).value();
        endpoints_[index] = owned_[index].get();
        choice_[index] = static_cast<std::uint8_t>(row);
        return {};
      }
      refusal = endpoint.status();
    }
    refusals_[index] += fmt::format("{}{}: {}", refusals_[index].empty() ? "" : "; ",
                                    builtin_transports()[row].name, refusal.message());
  }
  choice_[index] = kNone;
  return Status(Code::kUnsupported, refusals_[index]);
}

Status Connections::agree(Session& session) {
  const auto ranks = static_cast<std::size_t>(session.ranks());
  const auto self = static_cast<std::size_t>(self_);
  std::vector<std::uint8_t> least(ranks, 0);  // by rank: rows before this one do not work both ways
  // Both ends of a pair may find different first rows (one way may fail); the later one of the two is then
  // tried by both. Rows only go up, so this ends after as many rounds as there are rows, and usually after
  // one.
  for (std::size_t round = 0; round <= opened_.size() + 1; ++round) {
    for (std::size_t peer = 0; peer < ranks; ++peer)
      if (peer != self && (endpoints_[peer] == nullptr || choice_[peer] < least[peer]) &&
          choice_[peer] != kNone) {
        endpoints_[peer] = nullptr;
        (void)connect_from(static_cast<Rank>(peer), least[peer]);
      }
    HANSA_ASSIGN_OR_RETURN(
        const auto everyone,
        session.allgather(BytesView(reinterpret_cast<const std::byte*>(choice_.data()), ranks)));
    bool settled = true;
    for (std::size_t a = 0; a < ranks; ++a)
      for (std::size_t b = 0; b < ranks; ++b) {
        if (a == b || everyone[a].size() != ranks || everyone[b].size() != ranks) continue;
        const auto mine = std::to_integer<std::uint8_t>(everyone[a][b]);
        const auto theirs = std::to_integer<std::uint8_t>(everyone[b][a]);
        if (mine == kNone || theirs == kNone)
          return Status(Code::kSystem,
                        fmt::format("ranks {} and {} cannot reach each other ({}); see HANSA_TRANSPORT", a, b,
                                    a == self   ? refusals_[b]
                                    : b == self ? refusals_[a]
                                                : "their own messages say why"));
        settled = settled && mine == theirs;
        if (a == self) least[b] = std::max(mine, theirs);
      }
    if (settled) return {};
  }
  return Status(Code::kInternal, "ranks did not agree on transports");
}

bool Connections::poll() noexcept {
  bool any = false;
  for (Opened& row : opened_)
    if (row.transport) any = row.transport->poll() || any;
  return any;
}

bool Connections::idle() const noexcept {
  return std::all_of(opened_.begin(), opened_.end(),
                     [](const Opened& row) { return !row.transport || row.transport->idle(); });
}

Status Connections::status() const {
  for (const Opened& row : opened_)
    if (row.transport)
      if (Status status = row.transport->status(); !status.ok()) return status;
  return {};
}

std::string Connections::summary() const {
  std::string text;
  for (std::size_t row = 0; row < opened_.size(); ++row) {
    std::size_t count = 0;
    for (std::size_t rank = 0; rank < choice_.size(); ++rank)
      count += rank != static_cast<std::size_t>(self_) && choice_[rank] == row;
    if (count > 0)
      text +=
          fmt::format("{}{} to {} ranks", text.empty() ? "" : ", ", builtin_transports()[row].name, count);
  }
  return text.empty() ? "no peers" : text;
}

void Connections::quiesce() noexcept {
  for (auto& endpoint : owned_)
    if (endpoint) endpoint->quiesce();
}

}  // namespace hansa
