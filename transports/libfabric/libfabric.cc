#include "transports/libfabric/libfabric.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "transports/libfabric/address.hpp"
#include "transports/libfabric/peer.hpp"
#include "transports/slots_only.hpp"

namespace hansa {
namespace libfabric {
namespace {

using namespace std::chrono_literals;

// Some providers hand out one completion a read, however much there is.
constexpr int kReadsPerPoll = 8;
constexpr std::size_t kCompletionsPerRead = 8;
constexpr auto kLinger = 500ms;
constexpr std::uint32_t kFewestSlots = 2;

std::uint16_t fold(std::uint64_t communicator) {
  return static_cast<std::uint16_t>(
      (communicator ^ communicator >> 14 ^ communicator >> 28 ^ communicator >> 42) & 0x3fff);
}

// What transport and endpoints share, so that either may be destroyed first.
class Core {
 public:
  Core(const TransportOptions& options, SlotShape shape, std::unique_ptr<Fabric> fabric, bool loopback)
      : capabilities_{.slot_bytes = shape.bytes,
                      .slots = shape.count,
                      .lingers = true,
                      .asks_kernel = speaks_ip(fabric->info())},
        rank_(options.rank),
        patience_(options.patience),
        cancelled_(options.cancelled),
        names_(options.names.begin(), options.names.end()),
        fabric_(std::move(fabric)),
        address_{.loopback = loopback ? loopback_identity() : 0,
                 .slot_bytes = static_cast<std::uint32_t>(shape.bytes),
                 .slots = shape.count,
                 .communicator = options.communicator,
                 .lanes = options.lanes,
                 .provider = provider_identity(fabric_->info().fabric_attr->prov_name),
                 .name = fabric_->name()} {
    waiting_.reserve(static_cast<std::size_t>(options.ranks));
  }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core() {
    if (getpid() == owner_) {
      linger();
      if (fabric_->binds()) release_regions();
      fabric_->close_endpoint();
      return;
    }
    // A forked child shares the parent's connections: closing them here would end them there.
    for (auto& [rank, peer] : peers_) (void)peer.release();
    (void)fabric_.release();
  }

  const Capabilities& capabilities() const { return capabilities_; }
  const Address& address() const { return address_; }
  const Status& status() const { return shared_.status; }
  bool idle() const { return waiting_.empty() && shared_.in_flight == 0; }
  Result<Peer*> connect(Rank rank, BytesView bytes);
  bool poll();
  void enlist(Peer& peer) {
    if (peer.waiting || !peer.pending()) return;
    peer.waiting = true;
    waiting_.push_back(&peer);
  }

 private:
  bool read();
  void read_errors();
  void linger();
  void release_regions();
  Status settle(Peer& peer);
  std::string name_of(Rank rank) const {
    const auto index = static_cast<std::size_t>(rank);
    return index < names_.size() ? names_[index] : fmt::format("rank {}", rank);
  }

  Capabilities capabilities_;
  Rank rank_;
  std::chrono::milliseconds patience_;
  const std::atomic<bool>* cancelled_;
  std::vector<std::string> names_;
  pid_t owner_ = getpid();
  Shared shared_;
  std::unique_ptr<Fabric> fabric_;
  Address address_;
  std::map<Rank, std::unique_ptr<Peer>> peers_;
  std::vector<Peer*> waiting_;  // peers with something to post
};

Result<Peer*> Core::connect(Rank rank, BytesView bytes) {
  auto decoded = Address::decode(bytes);
  if (!decoded.ok()) return decoded.status().within(fmt::format("rank {}", rank));
  const Address& theirs = decoded.value();
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
                              rank, fabric_->info().fabric_attr->prov_name));
  }
  if (peers_.contains(rank)) {
    return Status(Code::kInvalidUsage, fmt::format("rank {} is already connected over libfabric", rank));
  }
  HANSA_ASSIGN_OR_RETURN(const fi_addr_t address, fabric_->insert(theirs.name));
  const PeerSetup setup{.self = rank_,
                        .rank = rank,
                        .lanes = address_.lanes,
                        .communicator = fold(address_.communicator),
                        .shape = {capabilities_.slot_bytes, capabilities_.slots},
                        .address = address,
                        .name = name_of(rank)};
  // Kept even if it fails to start: the provider may hold some of its memory by then.
  auto& peer = peers_[rank] = std::make_unique<Peer>(*fabric_, shared_, setup);
  HANSA_RETURN_IF_ERROR(peer->start());
  HANSA_RETURN_IF_ERROR(settle(*peer));
  return peer.get();
}

// All receives stand before the peer may send. Their number was asked for when the fabric was opened, so a
// refusal passes when completions have been read.
Status Core::settle(Peer& peer) {
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  while (!peer.stands()) {
    enlist(peer);
    if (!poll()) sched_yield();
    if (!shared_.status.ok()) return shared_.status;
    if (std::chrono::steady_clock::now() > deadline || (cancelled_ != nullptr && cancelled_->load())) {
      return Status(Code::kSystem,
                    fmt::format("libfabric's provider {} does not take the receives it said it would",
                                fabric_->info().fabric_attr->prov_name));
    }
  }
  return {};
}

bool Core::poll() {
  bool any = false, posted = false;
  for (int reads = 0; reads < kReadsPerPoll && read(); ++reads) any = true;
  std::erase_if(waiting_, [&](Peer* peer) {
    posted = peer->advance() || posted;
    peer->waiting = peer->pending();
    return !peer->waiting;
  });
  return any || posted;
}

bool Core::read() {
  std::array<fi_cq_msg_entry, kCompletionsPerRead> entries;
  const ssize_t count = fabric_->read(entries.data(), entries.size());
  if (count == -FI_EAVAIL) {
    read_errors();
    return true;
  }
  if (count < 0 && count != -FI_EAGAIN && shared_.status.ok()) {
    shared_.status = Status(Code::kSystem, fmt::format("libfabric's completion queue failed: {}",
                                                       fabric_->text(static_cast<int>(-count))));
  }
  for (ssize_t index = 0; index < count; ++index) {
    const fi_cq_msg_entry& entry = entries[static_cast<std::size_t>(index)];
    auto& operation = *static_cast<Operation*>(entry.op_context);
    operation.peer->completed(operation, entry.len);
    enlist(*operation.peer);
  }
  return count > 0;
}

void Core::read_errors() {
  fi_cq_err_entry entry{};
  while (fabric_->read_error(entry)) {
    if (entry.op_context != nullptr) {
      auto& operation = *static_cast<Operation*>(entry.op_context);
      operation.peer->failed(operation, entry);
    } else if (shared_.status.ok()) {
      shared_.status = Status(Code::kSystem, fmt::format("libfabric: {}", fabric_->text(entry)));
    }
    entry = {};
  }
}

// What was committed is to arrive although nobody drives this rank any more, and peers that wait for this
// rank in the same way are told that they need not.
void Core::linger() {
  const auto deadline = std::chrono::steady_clock::now() + kLinger;
  for (;;) {
    bool done = true;
    for (auto& [rank, peer] : peers_) {
      done = peer->farewell() && done;
      enlist(*peer);
    }
    if (done || std::chrono::steady_clock::now() > deadline) break;
    if (!poll()) sched_yield();
  }
}

// Where regions are the endpoint's, they go first, and before them all that is posted in them.
void Core::release_regions() {
  const auto deadline = std::chrono::steady_clock::now() + kLinger;
  for (auto& [rank, peer] : peers_) peer->withdraw();
  while (std::chrono::steady_clock::now() < deadline) {
    if (std::all_of(peers_.begin(), peers_.end(),
                    [](const auto& entry) { return entry.second->withdrawn(); }))
      break;
    if (!read()) sched_yield();
  }
  for (auto& [rank, peer] : peers_) peer->close_region();
}

class LibfabricEndpoint final : public SlotsOnlyEndpoint {
 public:
  LibfabricEndpoint(std::shared_ptr<Core> core, Peer& peer) : core_(std::move(core)), peer_(peer) {}
  ~LibfabricEndpoint() override { peer_.close(); }

  const Capabilities& capabilities() const noexcept override { return core_->capabilities(); }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return peer_.reserve(lane, ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    peer_.commit(lane, bytes, stamp);
    core_->enlist(peer_);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override { return peer_.peek(lane, ahead); }
  void release(std::uint16_t lane) noexcept override {
    peer_.release(lane);
    core_->enlist(peer_);
  }

  // Slots are the transport's own and outlive this endpoint, so there is nothing to wait for.
  void quiesce() noexcept override { peer_.close(); }

 private:
  std::shared_ptr<Core> core_;
  Peer& peer_;
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
  bool poll() noexcept override { return core_->poll(); }
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
  Wish wish{.provider = provider,
            .address = address.ok() ? address.value() : std::string(),
            .interface = options.interface,
            .ranks = options.ranks};
  for (;; shape.count /= 2) {
    wish.receives = static_cast<std::size_t>(options.ranks) * receives_per_peer(options.lanes, shape.count);
    auto fabric = Fabric::open(library, wish);
    if (fabric.ok()) {
      const fi_info& info = fabric.value()->info();
      const bool here_only = is_of_one_host(info) || (speaks_ip(info) && is_loopback(wish.address));
      return std::unique_ptr<Transport>(std::make_unique<LibfabricTransport>(
          std::make_shared<Core>(options, shape, std::move(fabric).value(), here_only)));
    }
    if (fabric.status().code() == Code::kUnsupported && shape.count > kFewestSlots) continue;
    return address.ok() ? fabric.status() : address.status();
  }
}

}  // namespace hansa
