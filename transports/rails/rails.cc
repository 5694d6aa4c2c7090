#include "transports/rails/rails.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <new>
#include <utility>

#include "base/log.hpp"
#include "transports/rails/peer.hpp"
#include "transports/slots_only.hpp"

namespace hansa {
namespace rails {
namespace {

using namespace std::chrono_literals;

// For peers to hear that this rank leaves; and where a rail may be dead, for what has to go again.
constexpr auto kLinger = 500ms, kLingerOwed = 1500ms;
// A rail that has been silent for so many polls is polled once in so many: polls may be system calls.
constexpr std::uint32_t kWarmPolls = 64, kSeldom = 8;

Capabilities capabilities_over(const std::vector<std::unique_ptr<Transport>>& transports) {
  Capabilities all{.slot_bytes = SIZE_MAX, .slots = UINT32_MAX, .lingers = true, .awaits_peers = true};
  for (const auto& one : transports) {
    if (!one) continue;
    all.slot_bytes = std::min(all.slot_bytes, one->capabilities().slot_bytes - kRoom);
    all.slots = std::min(all.slots, one->capabilities().slots);
    all.asks_kernel = all.asks_kernel || one->capabilities().asks_kernel;
  }
  return all;
}

// What transport and endpoints share, so that either may be destroyed first.
class Core {
 public:
  Core(const TransportOptions& options, std::vector<std::unique_ptr<Transport>> transports)
      : transports_(std::move(transports)), silent_(transports_.size()), broken_(transports_.size()) {
    common_.lanes = options.lanes;
    common_.capabilities = capabilities_over(transports_);
    common_.stripes = options.neighbours < static_cast<Rank>(transports_.size());
    common_.nearest = static_cast<Rail>(options.nearest_rail % transports_.size());
    for (const Interface& rail : options.rails) common_.rails.push_back(rail.name);
    common_.names.assign(options.names.begin(), options.names.end());
    common_.changed = options.rails_changed;
    common_.counts.rails = static_cast<std::uint32_t>(transports_.size());
    common_.warned.resize(transports_.size());
    if (common_.changed) common_.changed(common_.counts);
  }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core() {
    if (getpid() == owner_) {
      linger();
      return;
    }
    for (auto& [rank, peer] : peers_) (void)peer.release();
  }

  const Common& common() const { return common_; }
  std::string_view name() const { return first().name(); }
  std::vector<std::byte> address() const {
    std::vector<std::vector<std::byte>> addresses;
    for (const auto& one : transports_) addresses.push_back(one ? one->address() : std::vector<std::byte>());
    return join_addresses(addresses);
  }
  Result<Peer*> connect(Rank rank, BytesView address);
  bool poll() noexcept {
    try {
      return look();
    } catch (const std::bad_alloc&) {
      common_.status = Status(Code::kSystem, "out of memory");
      return false;
    }
  }
  bool idle() const;
  Status status() const { return common_.status; }

 private:
  bool look();
  const Transport& first() const {
    return **std::find_if(transports_.begin(), transports_.end(),
                          [](const auto& one) { return one != nullptr; });
  }
  void look_for_failures();
  void linger();

  const pid_t owner_ = getpid();
  std::vector<std::unique_ptr<Transport>> transports_;  // by rail; null where it did not open
  std::vector<std::uint32_t> silent_;                   // by rail: polls since anything happened
  std::vector<bool> broken_;
  Common common_;
  std::map<Rank, std::unique_ptr<Peer>> peers_;
  std::uint32_t polls_ = 0;
};

Result<Peer*> Core::connect(Rank rank, BytesView address) {
  const auto addresses = split_addresses(address);
  if (!addresses)
    return Status(Code::kInvalidArgument, fmt::format("rank {} sent a malformed address of rails", rank));
  if (addresses->size() != transports_.size())
    return Status(Code::kInvalidUsage, fmt::format("rank {} has {} rails, this rank {}", rank,
                                                   addresses->size(), transports_.size()));
  if (peers_.contains(rank))
    return Status(Code::kInvalidUsage, fmt::format("rank {} is already connected over rails", rank));
  Ways ways(transports_.size());
  Status refused(Code::kUnsupported, fmt::format("rank {} has no rail in common with this rank", rank));
  for (std::size_t rail = 0, reached = 0; rail < transports_.size(); ++rail) {
    if (!transports_[rail] || (*addresses)[rail].empty()) continue;
    auto connected = transports_[rail]->connect(rank, (*addresses)[rail]);
    if (connected.ok()) {
      ways[rail].endpoint = std::move(connected).value();
      if (reached++ == 0) refused = {};
    } else if (reached == 0) {
      refused = connected.status();
    }
  }
  HANSA_RETURN_IF_ERROR(refused);
  return (peers_[rank] = std::make_unique<Peer>(common_, rank, std::move(ways))).get();
}

bool Core::look() {
  bool any = false;
  for (std::size_t rail = 0; rail < transports_.size(); ++rail) {
    if (!transports_[rail]) continue;
    if (rail != common_.nearest && silent_[rail] > kWarmPolls && polls_ % kSeldom != 0) continue;
    const bool moved = transports_[rail]->poll();
    silent_[rail] = moved ? 0 : silent_[rail] + 1;
    any = any || moved;
  }
  common_.now = Clock::now();
  if (polls_++ % kSeldom == 0) look_for_failures();
  for (const auto& [rank, peer] : peers_)
    if (peer->talked()) any = peer->attend() || any;
  return any;
}

void Core::look_for_failures() {
  for (std::size_t rail = 0; rail < transports_.size(); ++rail) {
    if (!transports_[rail] || broken_[rail]) continue;
    const Status status = transports_[rail]->status();
    if (status.ok()) continue;
    broken_[rail] = true;
    bool left = false;
    for (std::size_t other = 0; other < transports_.size(); ++other)
      left = left || (transports_[other] && !broken_[other]);
    if (!left) {
      common_.fail(status.code(), std::string(status.message()));
      return;
    }
    for (const auto& [rank, peer] : peers_) peer->break_off(static_cast<Rail>(rail), status.message());
  }
}

// What a lost rail still has in it is not waited for.
bool Core::idle() const {
  for (const auto& [rank, peer] : peers_)
    if (!peer->idle()) return false;
  for (std::size_t rail = 0; rail < transports_.size(); ++rail) {
    if (!transports_[rail] || transports_[rail]->idle() || !transports_[rail]->status().ok()) continue;
    if (std::all_of(peers_.begin(), peers_.end(),
                    [&](const auto& entry) { return entry.second->reached_by(static_cast<Rail>(rail)); }))
      return false;
  }
  return true;
}

// What was committed is to arrive although nobody drives this rank any more.
void Core::linger() {
  const auto begin = Clock::now();
  while (common_.status.ok()) {
    bool done = true, owed = false;
    for (const auto& [rank, peer] : peers_) {
      done = peer->farewell() && done;
      owed = owed || peer->owed();
    }
    if (done || Clock::now() - begin > (owed ? kLingerOwed : kLinger)) return;
    if (!poll()) sched_yield();
  }
}

class RailsEndpoint final : public SlotsOnlyEndpoint {
 public:
  RailsEndpoint(std::shared_ptr<Core> core, Peer& peer) : core_(std::move(core)), peer_(peer) {}
  ~RailsEndpoint() override { peer_.close(); }
  const Capabilities& capabilities() const noexcept override { return core_->common().capabilities; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return peer_.reserve(lane, ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    peer_.commit(lane, bytes, stamp);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override { return peer_.peek(lane, ahead); }
  void release(std::uint16_t lane) noexcept override { peer_.release(lane); }
  // Slots are the transports' own and outlive this endpoint.
  void quiesce() noexcept override { peer_.close(); }

 private:
  std::shared_ptr<Core> core_;
  Peer& peer_;
};

class RailsTransport final : public Transport {
 public:
  explicit RailsTransport(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::string_view name() const noexcept override { return core_->name(); }
  const Capabilities& capabilities() const noexcept override { return core_->common().capabilities; }
  std::vector<std::byte> address() const override { return core_->address(); }
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    HANSA_ASSIGN_OR_RETURN(Peer* const found, core_->connect(peer, address));
    return std::unique_ptr<Endpoint>(std::make_unique<RailsEndpoint>(core_, *found));
  }
  bool poll() noexcept override { return core_->poll(); }
  bool idle() const noexcept override { return core_->idle(); }
  Status status() const override { return core_->status(); }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

std::string Common::name_of(Rank peer) const {
  const auto index = static_cast<std::size_t>(peer);
  return index < names.size() ? names[index] : fmt::format("rank {}", peer);
}

void Common::rail_lost(Rail rail, Rank peer, std::string_view why, std::uint32_t orphans) {
  ++counts.lost;
  ++counts.down;
  const std::string text = fmt::format("rail {} to {} is lost: {}; {} messages go again by other rails",
                                       rails[rail], name_of(peer), why, orphans);
  if (!warned[rail])
    HANSA_WARN("{}", text);
  else
    HANSA_INFO_ON(kNet, "{}", text);
  warned[rail] = true;
  if (changed) changed(counts);
}

void Common::rail_back(Rail rail, Rank peer) {
  ++counts.back;
  --counts.down;
  warned[rail] = false;
  HANSA_INFO_ON(kNet, "rail {} to {} is used again", rails[rail], name_of(peer));
  if (changed) changed(counts);
}

}  // namespace rails

Result<std::unique_ptr<Transport>> open_rails(const TransportOptions& options, const OpenRail& open_rail) {
  if (options.rails.size() < 2) return open_rail(options);
  if (options.lanes > rails::kMostLanes)
    return Status(Code::kInvalidArgument,
                  fmt::format("rails have room for {} lanes, not {}", rails::kMostLanes, options.lanes));
  std::vector<std::unique_ptr<Transport>> opened;
  Status refused;
  for (const Interface& rail : options.rails) {
    TransportOptions one = options;
    one.rails = {};
    one.interface = rail.address;
    ++one.lanes;
    auto transport = open_rail(one);
    if (!transport.ok()) {
      HANSA_WARN("rail {} is left out: {}", rail.name, transport.status().message());
      if (refused.ok()) refused = transport.status();
      opened.push_back(nullptr);
      continue;
    }
    const std::size_t bytes = transport.value()->capabilities().slot_bytes;
    if (bytes <= rails::kRoom || bytes < rails::report_bytes(options.lanes))
      return Status(Code::kUnsupported,
                    fmt::format("slots of {} bytes have no room for rails' words", bytes));
    opened.push_back(std::move(transport).value());
  }
  if (std::none_of(opened.begin(), opened.end(), [](const auto& one) { return one != nullptr; }))
    return refused;
  return std::unique_ptr<Transport>(
      std::make_unique<rails::RailsTransport>(std::make_shared<rails::Core>(options, std::move(opened))));
}

}  // namespace hansa
