#include "core/connections.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/config.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "transports/checked/checked.hpp"

namespace hansa {
namespace {

// What a rank says of a transport: that it is open, and its address; or why it is not.
enum class Word : std::uint8_t { kAddress = 1, kRefusal = 2 };

std::vector<std::byte> said(const Transport* transport, const Status& opened) {
  std::vector<std::byte> bytes{static_cast<std::byte>(transport ? Word::kAddress : Word::kRefusal)};
  if (transport) {
    const auto address = transport->address();
    bytes.insert(bytes.end(), address.begin(), address.end());
  } else {
    constexpr std::size_t kMostText = 1024;
    const auto text = std::as_bytes(std::span(opened.message()));
    bytes.insert(bytes.end(), text.begin(),
                 text.begin() + std::min<std::ptrdiff_t>(std::ssize(text), kMostText));
  }
  return bytes;
}

template <class Use>
void for_each_name(std::string_view list, Use use) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    use(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
}

bool named(std::string_view list, std::string_view name) {
  bool found = false;
  for_each_name(list, [&](std::string_view one) { found = found || one == name; });
  return found;
}

Status check_names(std::string_view list) {
  Status status;
  for_each_name(list, [&](std::string_view name) {
    std::string known;
    bool exists = false;
    for (const TransportKind& kind : builtin_transports()) {
      exists = exists || kind.name == name;
      known += fmt::format(" {}", kind.name);
    }
    if (!exists)
      status =
          Status(Code::kInvalidUsage,
                 fmt::format("HANSA_TRANSPORT names '{}', which does not exist; there are:{}", name, known));
  });
  return status;
}

std::vector<std::string> names_of(const std::vector<Member>& members) {
  std::vector<std::string> names;
  for (const Member& member : members)
    names.push_back(fmt::format("rank {} (host {})", names.size(), member.host_name));
  return names;
}

// Any two of them.
bool share_a_process(const std::vector<Member>& members) {
  std::set<std::uint64_t> processes;
  return !std::all_of(members.begin(), members.end(),
                      [&](const Member& member) { return processes.insert(member.process).second; });
}

}  // namespace

Result<Connections> Connections::open(Session& session, const TransportOptions& wish,
                                      std::string_view forced) {
  HANSA_RETURN_IF_ERROR(check_names(forced));
  const std::vector<std::string> names = names_of(session.members());
  TransportOptions options = wish;
  options.names = names;
  Connections all;
  const auto ranks = static_cast<std::size_t>(session.ranks());
  all.self_ = static_cast<std::size_t>(session.rank());
  all.lanes_ = options.lanes;
  all.owned_.resize(ranks);
  all.endpoints_.resize(ranks);
  all.refusals_.resize(ranks);
  all.row_of_.assign(ranks, kNone);
  all.near_.assign(ranks, std::vector<bool>(ranks));
  const std::size_t rows = builtin_transports().size();
  all.transports_.resize(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    if (forced.empty() && builtin_transports()[row].within_process && !share_a_process(session.members()))
      continue;
    HANSA_ASSIGN_OR_RETURN(const bool complete, all.try_row(session, row, options, forced));
    if (complete) break;
  }
  for (const auto& transport : all.transports_)
    if (transport) all.used_.push_back(transport.get());
  return all;
}

Result<bool> Connections::try_row(Session& session, std::size_t row, const TransportOptions& options,
                                  std::string_view forced) {
  const TransportKind& kind = builtin_transports()[row];
  Status opened = forced.empty() || named(forced, kind.name)
                      ? kind.probe()
                      : Status(Code::kUnsupported, fmt::format("left out by HANSA_TRANSPORT={}", forced));
  if (opened.ok()) {
    auto transport = kind.open(options);
    if (transport.ok() && config().checksum)
      transport = checked_transport(std::move(transport).value(), options,
                                    {options.names.begin(), options.names.end()});
    opened = transport.status();
    if (transport.ok()) transports_[row] = std::move(transport).value();
  }
  // Users count on the best transport: that it failed, and did not just not apply, is theirs to know.
  if (!opened.ok() && opened.code() != Code::kUnsupported)
    HANSA_WARN("transport {} is left out: {}", kind.name, opened.message());
  if (opened.ok() && fault_point(Point::kInitOpened)) return made_to_fail();
  HANSA_ASSIGN_OR_RETURN(const auto addresses, session.allgather(said(transports_[row].get(), opened)));
  (void)fault_point(Point::kInitAddressed);
  for (std::size_t peer = 0; peer < row_of_.size(); ++peer) {
    if (peer == self_ || row_of_[peer] != kNone) continue;
    const Status connected = connect_over(static_cast<Rank>(peer), row, opened, addresses[peer]);
    if (!connected.ok() && connected.code() != Code::kUnsupported)
      HANSA_WARN("rank {} is not reached over {}: {}", peer, kind.name, connected.message());
    if (!connected.ok())
      refusals_[peer] +=
          fmt::format("{}{}: {}", refusals_[peer].empty() ? "" : "; ", kind.name, connected.message());
  }
  (void)fault_point(Point::kInitConnected);
  return keep_what_works(session, row);
}

Status Connections::connect_over(Rank peer, std::size_t row, const Status& opened, BytesView address) {
  HANSA_RETURN_IF_ERROR(opened);
  const BytesView content = address.empty() ? address : address.subspan(1);
  if (address.empty() || address[0] != static_cast<std::byte>(Word::kAddress))
    return Status(
        Code::kUnsupported,
        fmt::format("rank {} has none: {}", peer,
                    std::string_view(reinterpret_cast<const char*>(content.data()), content.size())));
  HANSA_ASSIGN_OR_RETURN(auto endpoint, transports_[row]->connect(peer, content));
  const auto index = static_cast<std::size_t>(peer);
  owned_[index] = std::move(endpoint);
  endpoints_[index] = owned_[index].get();
  row_of_[index] = row;
  return {};
}

Result<bool> Connections::keep_what_works(Session& session, std::size_t row) {
  const std::size_t ranks = row_of_.size();
  std::vector<std::byte> reached(ranks);
  for (std::size_t peer = 0; peer < ranks; ++peer)
    reached[peer] = std::byte{peer == self_ || row_of_[peer] != kNone};
  HANSA_ASSIGN_OR_RETURN(const auto everyone, session.allgather(reached));
  const bool last = row + 1 == transports_.size();
  bool complete = true;
  for (std::size_t a = 0; a < ranks; ++a) {
    if (everyone[a].size() != ranks) return Status(Code::kInternal, fmt::format("rank {} lost count", a));
    for (std::size_t b = 0; b < ranks && builtin_transports()[row].within_host; ++b)
      near_[a][b] = everyone[a][b] != std::byte{0};
    for (std::size_t b = 0; b < a; ++b) {
      if (everyone[a][b] != std::byte{0} && everyone[b][a] != std::byte{0}) continue;
      if (last)
        return Status(Code::kSystem,
                      fmt::format("ranks {} and {} cannot reach each other ({}); see HANSA_TRANSPORT", b, a,
                                  a == self_   ? refusals_[b]
                                  : b == self_ ? refusals_[a]
                                               : "their own messages say why"));
      complete = false;
      if (a != self_ && b != self_) continue;
      const std::size_t peer = a == self_ ? b : a;
      if (row_of_[peer] == row)
        refusals_[peer] +=
            fmt::format("{}{}: rank {} does not reach this rank", refusals_[peer].empty() ? "" : "; ",
                        builtin_transports()[row].name, peer);
      endpoints_[peer] = nullptr;
      owned_[peer].reset();
      row_of_[peer] = kNone;
    }
  }
  if (std::find(row_of_.begin(), row_of_.end(), row) == row_of_.end()) transports_[row].reset();
  return complete;
}

bool Connections::poll() noexcept {
  bool any = false;
  for (Transport* transport : used_) any = transport->poll() || any;
  return any;
}

bool Connections::any(bool Capabilities::*trait) const noexcept {
  return std::any_of(used_.begin(), used_.end(),
                     [trait](const Transport* transport) { return transport->capabilities().*trait; });
}

Status Connections::status() const {
  for (const Transport* transport : used_)
    if (Status status = transport->status(); !status.ok()) return status;
  return {};
}

std::string Connections::summary() const {
  std::string text;
  for (std::size_t row = 0; row < transports_.size(); ++row)
    if (const auto count = std::count(row_of_.begin(), row_of_.end(), row); count > 0)
      text +=
          fmt::format("{}{} to {} ranks", text.empty() ? "" : ", ", builtin_transports()[row].name, count);
  return text.empty() ? "no peers" : text;
}

void Connections::quiesce() noexcept {
  for (auto& endpoint : owned_)
    if (endpoint) endpoint->quiesce();
}

std::size_t Connections::memory_bytes() const {
  std::size_t bytes = 0;
  for (const Endpoint* endpoint : endpoints_)
    if (endpoint) bytes += endpoint->capabilities().slot_bytes * endpoint->capabilities().slots * lanes_;
  return bytes;
}

}  // namespace hansa
