#include "transports/shm/shm.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/shared_memory.hpp"
#include "base/wait.hpp"
#include "transports/process.hpp"
#include "transports/shm/endpoint.hpp"

namespace hansa {
namespace shm {
namespace {

constexpr std::uint64_t kMagic = 0x316d68732d61736eu;
constexpr std::uint64_t kInboxKey = 0;  // allocations count from 1
constexpr std::uint32_t kFerryCells = 64;

// Only ranks that run the same build meet, so the struct itself travels.
struct Address {
  std::uint64_t magic = kMagic;
  std::uint64_t communicator = 0;
  Layout layout;
  Rank rank = 0, ranks = 0;
  std::uint64_t inbox = 0;   // key in the process's registry
  std::uint8_t ferries = 0;  // not 0: this end would
  Beacon beacon;
  control::FdAddress fds{};
  control::FileOfProcess inbox_file;
};

ProcessRegistry<Inbox>& inboxes() {
  static auto* registry = new ProcessRegistry<Inbox>;  // outlives every static that may hold a communicator
  return *registry;
}

Staged staged_by(Copier copier) {
  if (copier != Copier::kFaster) return copier == Copier::kSlots ? Staged::kAll : Staged::kNone;
  static const bool dear = single_copy_is_dear();
  return dear ? Staged::kAll : Staged::kSome;
}

class ShmTransport final : public Transport {
 public:
  ShmTransport(const Address& address, std::shared_ptr<Local> local, const TransportOptions& options)
      : address_(address),
        local_(std::move(local)),
        patience_(options.patience),
        cancelled_(options.cancelled) {
    local_->beacon = random_u64();
    address_.beacon = {process_identity(), getpid(), reinterpret_cast<std::uintptr_t>(&local_->beacon),
                       local_->beacon};
    address_.inbox = random_u64();
    inboxes().publish(address_.inbox, local_->inbox);
    // What peers of other processes offer, each endpoint says for itself.
    capabilities_ = {.slot_bytes = address.layout.shape.bytes,
                     .slots = address.layout.shape.count,
                     .direct = false,
                     .direct_own = local_->memory.known()};
  }

  std::string_view name() const noexcept override { return "shm"; }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::vector<std::byte> address() const override {
    std::vector<std::byte> bytes(sizeof address_);
    std::memcpy(bytes.data(), &address_, sizeof address_);
    return bytes;
  }

  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    Address theirs;
    if (address.size() == sizeof theirs) std::memcpy(&theirs, address.data(), sizeof theirs);
    if (address.size() != sizeof theirs || theirs.magic != kMagic) {
      return Status(Code::kInvalidArgument, fmt::format("rank {} sent a malformed shm address", peer));
    }
    if (theirs.communicator != address_.communicator || theirs.ranks != address_.ranks ||
        theirs.rank != peer || theirs.layout != address_.layout || peer < 0 || peer >= address_.ranks) {
      return Status(Code::kInvalidUsage, fmt::format("rank {} opened shm with other options", peer));
    }
    PeerMemory memory(theirs.beacon, theirs.fds);
    auto outgoing = reach(theirs, memory.reaches_all());
    if (!outgoing.ok()) return outgoing.status().within(fmt::format("rank {}", peer));
    HANSA_ASSIGN_OR_RETURN(std::byte* const incoming, local_->inbox->region(peer));
    const bool ferries = address_.ferries && theirs.ferries && !memory.same_process();
    return std::unique_ptr<Endpoint>(std::make_unique<ShmEndpoint>(
        peer, local_, incoming, std::move(outgoing).value(), std::move(memory), ferries));
  }

  bool poll() noexcept override {
    bool moved = false;
    for (Ferry* const ferry : local_->ferries) {
      moved = ferry->poll() || moved;
      if (!ferry->failure().ok() && local_->failure.ok()) [[unlikely]]
        local_->failure = ferry->failure();
    }
    return moved;
  }
  Status status() const override { return local_->failure; }

 private:
  // The inbox of a peer; `seen`: its process is known to be the one it says.
  Result<ShmEndpoint::Reached> reach(const Address& theirs, bool seen) const {
    if (theirs.beacon.process == address_.beacon.process) {
      const std::shared_ptr<Inbox> inbox = inboxes().find(theirs.inbox);
      if (!inbox) return Status(Code::kRemote, "has closed its shm transport");
      HANSA_ASSIGN_OR_RETURN(std::byte* const region, inbox->region(address_.rank));
      ShmEndpoint::Reached reached{{inbox, region}, {}};
      if (!local_->billboard) return reached;
      HANSA_ASSIGN_OR_RETURN(const std::byte* const board, inbox->board());
      reached.board = {inbox, board};
      return reached;
    }
    if (seen) {
      const auto borrowed = control::borrow_fd(theirs.inbox_file);
      if (borrowed.ok()) return map_inbox(borrowed.value().get());
    }
    auto fetched = control::fetch_fd(theirs.fds, kInboxKey, patience_, cancelled_);
    if (!fetched.ok()) return Status(Code::kUnsupported, std::string(fetched.status().message()));
    return map_inbox(fetched.value().get());
  }

  Result<ShmEndpoint::Reached> map_inbox(int fd) const {
    ShmEndpoint::Reached reached;
    HANSA_ASSIGN_OR_RETURN(reached.region, map_region(fd, address_.layout, address_.rank));
    if (!local_->billboard) return reached;
    HANSA_ASSIGN_OR_RETURN(reached.board, map_board(fd, address_.layout, address_.ranks));
    return reached;
  }

  Address address_;
  std::shared_ptr<Local> local_;
  std::chrono::milliseconds patience_;
  const std::atomic<bool>* cancelled_;
  Capabilities capabilities_;
};

}  // namespace
}  // namespace shm

Status probe_shm() {
  const auto fd = create_shared_memory("hansa-probe", page_bytes());
  if (!fd.ok()) return fd.status();
  close(fd.value());
  return {};
}

SlotShape shm_slots(Rank ranks, std::uint16_t lanes) {
  const auto channels = static_cast<std::size_t>(std::max(ranks - 1, 1)) * lanes;
  SlotShape shape{64 * 1024, 16};
  const auto too_much = [&] { return channels * shape.count * (shape.bytes + 64) > shm_inbox(ranks); };
  constexpr SlotShape kSteps[] = {{4096, 8}, {1024, 8}, {512, 4}};  // a message of one slot is the fastest
  for (const SlotShape& least : kSteps) {
    while (too_much() && shape.bytes > least.bytes) shape.bytes /= 2;
    while (too_much() && shape.count > least.count) shape.count /= 2;
  }
  return shape;
}

bool wants_ferry(const TransportOptions& options, bool dear, int cores) {
  const Rank neighbours = options.neighbours > 0 ? options.neighbours : options.ranks;
  return options.copier == Copier::kRanks ||
         (options.copier == Copier::kFaster && dear && neighbours <= cores);
}

Result<std::unique_ptr<Transport>> open_shm(const TransportOptions& options, SlotShape shape) {
  if (!std::has_single_bit(shape.count) || shape.count < 2 || shape.count > (1u << 13) ||
      shape.bytes % 64 != 0 || shape.bytes == 0 || shape.bytes > 64 * 1024) {
    return Status(Code::kInvalidArgument,
                  fmt::format("shm cannot have {} slots of {} bytes", shape.count, shape.bytes));
  }
  shm::Address address;
  address.communicator = options.communicator;
  address.layout = {shape, options.lanes, shm::kFerryCells};
  address.rank = options.rank;
  address.ranks = options.ranks;
  const Staged staged = shm::staged_by(options.copier);
  address.ferries = wants_ferry(options, staged == Staged::kAll, usable_cores());
  HANSA_ASSIGN_OR_RETURN(auto inbox, shm::Inbox::create(address.layout, options.ranks));
  HANSA_ASSIGN_OR_RETURN(auto provider, control::FdProvider::create());
  HANSA_RETURN_IF_ERROR(provider->offer(shm::kInboxKey, inbox->fd()));
  address.fds = provider->address();
  HANSA_ASSIGN_OR_RETURN(address.inbox_file, control::file_of_this_process(inbox->fd()));
  auto& fds = *provider;
  // Two ranks have nothing to tell several peers.
  auto billboard = options.ranks > 2 ? std::make_unique<shm::OwnBillboard>(*inbox) : nullptr;
  auto local = std::make_shared<shm::Local>(
      shm::Local{.provider = std::move(provider),
                 .inbox = std::move(inbox),
                 .memory = {options.memory, fds},
                 .staged = staged,
                 .deposits = options.copier == Copier::kFaster || options.copier == Copier::kDepot,
                 .peers = static_cast<std::size_t>(std::max(options.ranks - 1, 1)),
                 .billboard = std::move(billboard)});
  return std::unique_ptr<Transport>(std::make_unique<shm::ShmTransport>(address, std::move(local), options));
}

}  // namespace hansa
