#include "transports/libfabric/libfabric.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <map>

#include "base/tcp_settings.hpp"
#include "transports/libfabric/address.hpp"
#include "transports/libfabric/peer.hpp"
#include "transports/libfabric/port.hpp"
#include "transports/slots_only.hpp"

namespace hansa {
namespace libfabric {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kFewestSlots = 2;
// Peers for whose receives a rank has room for certain beside another of its communicator, whose room is for
// all of them: most algorithms of many ranks have few peers each.
constexpr Rank kBookedPeers = 8;
// What a peer that is asked may leave unanswered, four seconds' worth: it may be at work, and not poll.
constexpr std::uint32_t kAsks = 10;
// That a message may take to end which cannot be called off any more.
constexpr std::chrono::milliseconds kQuiesce{2000};
// That sends are waited for which nobody may take any more: they write to no memory of ours.
constexpr std::chrono::milliseconds kLastSends{50};

// What transport and endpoints share, so that either may be destroyed first.
class Core {
 public:
  Core(const TransportOptions& options, const Channels& channels, std::shared_ptr<Port> port,
       std::shared_ptr<const Port::Seat> seat, bool loopback)
      : channels_(channels),
        capabilities_{.slot_bytes = channels.shape.bytes,
                      .slots = channels.shape.count,
                      .lingers = true,
                      .asks_kernel = asks_kernel(port->fabric().info())},
        rank_(options.rank),
        patience_(options.patience),
        cancelled_(options.cancelled),
        memory_(options.memory),
        names_(options.names.begin(), options.names.end()),
        port_(std::move(port)),
        seat_(std::move(seat)),
        address_{.loopback = loopback ? loopback_identity() : 0,
                 .slot_bytes = static_cast<std::uint32_t>(channels.shape.bytes),
                 .slots = channels.shape.count,
                 .communicator = options.communicator,
                 .port = port_->generation(),
                 .lanes = options.lanes,
                 .provider = provider_identity(port_->fabric().info().fabric_attr->prov_name),
                 .number = seat_->number,
                 .sender = seat_->sender,
                 .freight_lanes = static_cast<std::uint8_t>(channels.freight_lanes),
                 .eager_limit = port_->fabric().eager_limit(),
                 .name = port_->fabric().name()} {}
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core();

  Port& port() { return *port_; }
  bool forked() const { return getpid() != owner_; }
  const Capabilities& capabilities() const { return capabilities_; }
  const Address& address() const { return address_; }
  Status status();
  bool idle();
  Result<Peer*> connect(Rank rank, BytesView bytes);

 private:
  Status check(Rank rank, const Address& theirs) const;
  Status settle(const Door& door);
  void linger();
  void withdraw();
  std::string name_of(Rank rank) const {
    const auto index = static_cast<std::size_t>(rank);
    return index < names_.size() ? names_[index] : fmt::format("rank {}", rank);
  }

  Channels channels_;
  Capabilities capabilities_;
  Rank rank_;
  std::chrono::milliseconds patience_;
  const std::atomic<bool>* cancelled_;
  const Memory* memory_;
  std::vector<std::string> names_;
  pid_t owner_ = getpid();
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::shared_ptr<Port> port_;
  std::shared_ptr<const Port::Seat> seat_;
  Address address_;
  std::map<Rank, std::unique_ptr<Peer>> peers_;
};

Core::~Core() {
  if (forked()) {
    // A forked child shares the parent's connections: closing them here would end them there.
    for (auto& [rank, peer] : peers_) (void)peer.release();
    (void)new std::shared_ptr<Port>(std::move(port_));
    (void)new std::shared_ptr<const Port::Seat>(std::move(seat_));
    return;
  }
  linger();
  withdraw();
  const std::scoped_lock turn(port_->turn());
  for (auto& [rank, peer] : peers_) port_->adopt(std::move(peer), seat_);
  peers_.clear();
  seat_.reset();
}

Status Core::status() {
  const std::scoped_lock turn(port_->turn());
  return shared_->status.ok() ? port_->status() : shared_->status;
}

bool Core::idle() {
  const std::scoped_lock turn(port_->turn());
  return shared_->waiting == 0 && shared_->in_flight == 0 && !port_->glows();
}

Status Core::check(Rank rank, const Address& theirs) const {
  if (theirs.loopback != address_.loopback) {
    return Status(Code::kUnsupported,
                  fmt::format("rank {} listens on the loopback interface of another host, or this "
                              "rank does; HANSA_INTERFACE names one that reaches both",
                              rank));
  }
  if (theirs.communicator != address_.communicator || theirs.lanes != address_.lanes ||
      theirs.slots != address_.slots || theirs.slot_bytes != address_.slot_bytes ||
      theirs.provider != address_.provider) {
    return Status(Code::kInvalidUsage,
                  fmt::format("rank {} opened libfabric with other options, or has another provider than {}",
                              rank, port_->fabric().info().fabric_attr->prov_name));
  }
  if (theirs.eager_limit != address_.eager_limit) {
    return Status(Code::kInvalidUsage,
                  fmt::format("rank {} has {}={}, this rank {}, and such never connect: set the same for all "
                              "ranks (the default differs where a program loads libfabric before this "
                              "library does)",
                              rank, kRxmEagerLimit, theirs.eager_limit, address_.eager_limit));
  }
  if (peers_.contains(rank)) {
    return Status(Code::kInvalidUsage, fmt::format("rank {} is already connected over libfabric", rank));
  }
  return {};
}

Result<Peer*> Core::connect(Rank rank, BytesView bytes) {
  auto decoded = Address::decode(bytes);
  if (!decoded.ok()) return decoded.status().within(fmt::format("rank {}", rank));
  const Address& theirs = decoded.value();
  HANSA_RETURN_IF_ERROR(check(rank, theirs));
  Peer* peer = nullptr;
  {
    const std::scoped_lock turn(port_->turn());
    Fabric& fabric = port_->fabric();
    HANSA_ASSIGN_OR_RETURN(const fi_addr_t address, fabric.insert(theirs.name));
    HANSA_ASSIGN_OR_RETURN(Door* const door,
                           port_->door(address, theirs.port, fabric.directed() ? 0 : sender_bits(rank),
                                       fabric.directed() ? 0 : sender_bits(rank_)));
    Channels channels = channels_;
    channels.freight_lanes = std::min<std::uint16_t>(channels.freight_lanes, theirs.freight_lanes);
    const PeerSetup setup{.self = rank_,
                          .rank = rank,
                          .channels = channels,
                          .ours = {seat_->number, theirs.sender, address},
                          .theirs = {theirs.number, seat_->sender, address},
                          .name = name_of(rank),
                          .memory = memory_};
    if (port_->find(setup.ours) != nullptr)
      return Status(Code::kInvalidUsage, fmt::format("rank {} has the address of another rank", rank));
    auto& made = peers_[rank] = std::make_unique<Peer>(*port_, *door, shared_, setup);
    peer = made.get();
    port_->introduce(setup.ours, *peer);
    port_->enlist(*door);
  }
  HANSA_RETURN_IF_ERROR(settle(peer->door()));
  return peer;
}

// The peer may ring as soon as it has connected, too.
Status Core::settle(const Door& door) {
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    {
      const std::scoped_lock turn(port_->turn());
      if (door.stands()) return {};
      HANSA_RETURN_IF_ERROR(door.status());
      HANSA_RETURN_IF_ERROR(port_->status());
    }
    if (!port_->poll()) sched_yield();
    if (std::chrono::steady_clock::now() > deadline || (cancelled_ != nullptr && cancelled_->load())) {
      return Status(Code::kSystem,
                    fmt::format("libfabric's provider {} does not take a receive for each peer",
                                port_->fabric().info().fabric_attr->prov_name));
    }
  }
}

// What was committed is to arrive although nobody drives this rank any more, and peers that wait for this
// rank in the same way are told that they need not.
void Core::linger() {
  const auto deadline = std::chrono::steady_clock::now() + kLinger;
  for (;;) {
    bool done = true;
    {
      const std::scoped_lock turn(port_->turn());
      for (auto& [rank, peer] : peers_) {
        done = peer->farewell() && done;
        port_->enlist(*peer);
      }
    }
    if (done || std::chrono::steady_clock::now() > deadline) break;
    if (!port_->poll()) sched_yield();
  }
}

// From now on nothing of this rank is posted. What the provider does not give back in time the port keeps,
// and so it does what peers may still send to; or all, where nobody else uses it and it ends at once.
void Core::withdraw() {
  const bool alone = port_.use_count() == 1;
  std::vector<const Peer*> ending;
  {
    const std::scoped_lock turn(port_->turn());
    for (auto& [rank, peer] : peers_) {
      port_->forget(peer->ours());
      peer->door().forget(*peer);
      if (!peer->leave()) ending.push_back(peer.get());
    }
  }
  const auto withdrawn = [&] {
    const std::scoped_lock turn(port_->turn());
    return std::all_of(ending.begin(), ending.end(), [](const Peer* peer) { return peer->withdrawn(); });
  };
  const auto deadline = std::chrono::steady_clock::now() + kLinger;
  while (!alone && !withdrawn() && std::chrono::steady_clock::now() < deadline) {
    if (!port_->poll()) sched_yield();
  }
}

class LibfabricEndpoint final : public SlotsOnlyEndpoint, Freight {
 public:
  LibfabricEndpoint(std::shared_ptr<Core> core, Peer& peer)
      : core_(std::move(core)), port_(core_->port()), peer_(peer), capabilities_(core_->capabilities()) {
    capabilities_.freight_lanes = peer.channels().freight_lanes;
    if (capabilities_.freight_lanes == 0) return;
    capabilities_.freight = this;
    capabilities_.freight_from = kFreightFrom;
  }
  ~LibfabricEndpoint() override { quiesce(); }

  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    const std::scoped_lock turn(port_.turn());
    return peer_.reserve(lane, ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    const std::scoped_lock turn(port_.turn());
    peer_.commit(lane, bytes, stamp);
    port_.enlist(peer_);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    const std::scoped_lock turn(port_.turn());
    return peer_.peek(lane, ahead);
  }
  void release(std::uint16_t lane) noexcept override {
    const std::scoped_lock turn(port_.turn());
    peer_.release(lane);
    port_.enlist(peer_);
  }

  void land(std::uint16_t lane, Bytes into, Completion& done) noexcept override {
    const std::scoped_lock turn(port_.turn());
    peer_.land(lane, into, done);
    port_.enlist(peer_);
  }
  bool ready(std::uint16_t lane) noexcept override {
    const std::scoped_lock turn(port_.turn());
    return peer_.ready(lane);
  }
  void launch(std::uint16_t lane, BytesView from, Completion& done) noexcept override {
    const std::scoped_lock turn(port_.turn());
    peer_.launch(lane, from, done);
    port_.enlist(peer_);
  }

  // Slots are the transport's own and outlive this endpoint; only for freight there is something to wait for.
  void quiesce() noexcept override {
    if (core_->forked()) return;  // the turn may have been another thread's
    {
      const std::scoped_lock turn(port_.turn());
      peer_.call_off();
    }
    (void)ended(&Peer::may_read, kLastSends);
    if (ended(&Peer::may_write, kQuiesce)) return;
    const std::scoped_lock turn(port_.turn());
    port_.close();
  }

 private:
  // Whether that becomes false in time.
  bool ended(bool (Peer::*state)() const, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
      {
        const std::scoped_lock turn(port_.turn());
        if (port_.is_closed() || !(peer_.*state)()) return true;
      }
      if (std::chrono::steady_clock::now() > deadline) return false;
      if (!port_.poll()) sched_yield();
    }
  }

  std::shared_ptr<Core> core_;
  Port& port_;
  Peer& peer_;
  Capabilities capabilities_;
};

class LibfabricTransport final : public Transport {
 public:
  explicit LibfabricTransport(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  std::string_view name() const noexcept override { return "libfabric"; }
  const Capabilities& capabilities() const noexcept override { return core_->capabilities(); }
  std::vector<std::byte> address() const override { return core_->address().encode(); }
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    HANSA_ASSIGN_OR_RETURN(Peer* const found, core_->connect(peer, address));
    return std::unique_ptr<Endpoint>(std::make_unique<LibfabricEndpoint>(core_, *found));
  }
  bool poll() noexcept override { return core_->port().poll(); }
  bool idle() const noexcept override { return core_->idle(); }
  Status status() const override { return core_->status(); }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace
}  // namespace libfabric

Status probe_libfabric() {
  HANSA_ASSIGN_OR_RETURN(const auto library, libfabric::Library::load());
  return libfabric::probe_provider(*library);
}

Result<std::unique_ptr<Transport>> open_libfabric(const TransportOptions& options, SlotShape shape,
                                                  std::string_view provider) {
  using namespace libfabric;
  if (options.lanes > kMostLanes) {
    return Status(Code::kInvalidArgument,
                  fmt::format("libfabric's tags have room for {} lanes, not {}", kMostLanes, options.lanes));
  }
  if (!std::has_single_bit(shape.count)) {
    return Status(Code::kInvalidArgument, fmt::format("{} slots are not a power of two", shape.count));
  }
  HANSA_ASSIGN_OR_RETURN(const auto library, Library::load());
  const auto address = resolve_interface(options.interface);
  const std::string device = address.ok() ? fabric_device(address.value()) : std::string();
  const Wish wish{.provider = provider,
                  .address = address.ok() ? address.value() : std::string(),
                  .interface = device.empty() ? options.interface : device,
                  .ranks = options.ranks};
  Channels channels;
  const auto need = [&](const fi_info& info, bool first) {
    const std::size_t capacity = info.rx_attr->size;
    const std::uint32_t asks = hides_breaks(info) ? kAsks : 0;
    const auto receives = [&](Rank peers) {
      return static_cast<std::size_t>(std::min(options.ranks, peers)) *
             (channels.receives() + Door::kReceives);
    };
    const auto fits = [&] { return receives(options.ranks) <= capacity; };
    const std::uint16_t most = ends_late(info) ? std::uint16_t{0} : std::min(options.lanes, kFreightLanes);
    for (const std::uint16_t freight_lanes : {most, std::uint16_t{0}}) {
      channels = {options.lanes, shape, options.lanes <= kFreightTagLane ? freight_lanes : std::uint16_t{0},
                  asks};
      while (!fits() && channels.shape.count > kFewestSlots) channels.shape.count /= 2;
      const std::size_t message = channels.shape.bytes * (channels.shape.count / 2);
      if (fits() && (freight_lanes == 0 || message >= kFreightFrom)) break;
    }
    const std::size_t least = receives(kBookedPeers);
    return first ? std::max(least, std::min(receives(options.ranks), capacity)) : least;
  };
  auto joined = Port::join(options.shared, library, wish, options.communicator, need);
  if (!joined.ok()) return address.ok() ? joined.status() : address.status();
  const auto& [port, seat] = joined.value();
  const fi_info& info = port->fabric().info();
  const bool here_only = is_of_one_host(info) || (speaks_ip(info) && is_loopback(wish.address));
  const std::scoped_lock turn(port->turn());
  return std::unique_ptr<Transport>(
      std::make_unique<LibfabricTransport>(std::make_shared<Core>(options, channels, port, seat, here_only)));
}

}  // namespace hansa
