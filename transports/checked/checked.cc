#include "transports/checked/checked.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/fault_point.hpp"
#include "transports/checked/checksum.hpp"
#include "transports/slots_only.hpp"

namespace hansa {
namespace checked {
namespace {

// Behind the payload, at the next multiple of its size.
struct Seal {
  std::uint64_t checksum = 0;
  std::uint32_t bytes = 0;   // of payload
  std::uint32_t number = 0;  // of the slot in its channel
};
constexpr std::size_t kRoom = 64;  // keeps slots a multiple of that

constexpr std::size_t seal_at(std::size_t bytes) {
  return (bytes + sizeof(Seal) - 1) / sizeof(Seal) * sizeof(Seal);
}

// One direction of a channel.
struct Channel {
  Rank from = 0, to = 0;
  std::uint16_t lane = 0;

  std::uint64_t checksum(BytesView payload, std::uint32_t stamp, std::uint32_t number) const {
    Checksum sum;
    sum.add(std::uint64_t{static_cast<std::uint32_t>(from)} << 32 | static_cast<std::uint32_t>(to));
    sum.add(std::uint64_t{stamp} << 32 | number);
    sum.add(std::uint64_t{lane});
    sum.add(payload);
    return sum.value();
  }
};

// What a transport and its endpoints share.
struct Shared {
  Rank rank = 0;
  std::uint16_t lanes = 1;
  std::string transport;
  std::vector<std::string> names;
  Status failure;
};

class CheckedEndpoint final : public SlotsOnlyEndpoint {
 public:
  CheckedEndpoint(std::unique_ptr<Endpoint> inner, std::shared_ptr<Shared> shared, Rank peer,
                  const Capabilities& capabilities)
      : inner_(std::move(inner)), shared_(std::move(shared)), capabilities_(capabilities) {
    for (std::uint16_t lane = 0; lane < shared_->lanes; ++lane)
      lanes_.push_back({{shared_->rank, peer, lane}, {peer, shared_->rank, lane}, 0, 0, 0});
  }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return inner_->reserve(lane, ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    Lane& one = lanes_[lane];
    std::byte* const slot = inner_->reserve(lane, 0);
    const Seal seal{one.outgoing.checksum({slot, bytes}, stamp, one.sent), bytes, one.sent};
    ++one.sent;
    std::memcpy(slot + seal_at(bytes), &seal, sizeof seal);
    if (fault_point(Point::kCellSealed)) slot[bytes / 2] ^= std::byte{16};
    inner_->commit(lane, static_cast<std::uint32_t>(seal_at(bytes) + sizeof seal), stamp);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    Arrival arrival = inner_->peek(lane, ahead);
    if (arrival.data == nullptr || !shared_->failure.ok()) return {};
    Lane& one = lanes_[lane];
    // Slots arrive in order, so what lies before this one is there, too.
    for (; one.verified <= ahead; ++one.verified)
      if (!verify(one, inner_->peek(lane, one.verified), one.received + one.verified)) return {};
    Seal seal;
    std::memcpy(&seal, arrival.data + arrival.bytes - sizeof seal, sizeof seal);
    arrival.bytes = seal.bytes;
    return arrival;
  }
  void release(std::uint16_t lane) noexcept override {
    Lane& one = lanes_[lane];
    ++one.received;
    if (one.verified > 0) --one.verified;
    inner_->release(lane);
  }

  void quiesce() noexcept override { inner_->quiesce(); }

 private:
  struct Lane {
    Channel outgoing, incoming;
    std::uint32_t sent, received;  // slots, modulo 2^32
    std::uint32_t verified;        // of those that have arrived
  };

  bool verify(const Lane& lane, const Arrival& arrival, std::uint32_t number) {
    Seal seal;
    bool whole = arrival.bytes >= sizeof seal;
    if (whole) std::memcpy(&seal, arrival.data + arrival.bytes - sizeof seal, sizeof seal);
    whole =
        whole && seal.bytes <= capabilities_.slot_bytes && seal_at(seal.bytes) + sizeof seal == arrival.bytes;
    if (whole && seal.number == number &&
        seal.checksum == lane.incoming.checksum({arrival.data, seal.bytes}, arrival.stamp, number))
      return true;
    const auto name = [this](Rank rank) { return shared_->names[static_cast<std::size_t>(rank)]; };
    shared_->failure = Status(
        Code::kDamaged,
        fmt::format(
            "bytes were damaged between {} and {} over {}: message {} of lane {}, {} bytes in its slot, does "
            "not have the checksum it was sent with; look at the memory, adapters and cables of both hosts",
            name(lane.incoming.from), name(lane.incoming.to), shared_->transport, number, lane.incoming.lane,
            arrival.bytes));
    return false;
  }

  std::unique_ptr<Endpoint> inner_;
  std::shared_ptr<Shared> shared_;
  Capabilities capabilities_;
  std::vector<Lane> lanes_;
};

class CheckedTransport final : public Transport {
 public:
  CheckedTransport(std::unique_ptr<Transport> inner, Shared shared)
      : inner_(std::move(inner)), shared_(std::make_shared<Shared>(std::move(shared))) {
    capabilities_.slot_bytes = inner_->capabilities().slot_bytes - kRoom;
    capabilities_.slots = inner_->capabilities().slots;
    capabilities_.lingers = inner_->capabilities().lingers;
    capabilities_.awaits_peers = inner_->capabilities().awaits_peers;
    capabilities_.asks_kernel = inner_->capabilities().asks_kernel;
  }
  std::string_view name() const noexcept override { return inner_->name(); }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::vector<std::byte> address() const override { return inner_->address(); }
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    HANSA_ASSIGN_OR_RETURN(auto endpoint, inner_->connect(peer, address));
    return std::unique_ptr<Endpoint>(
        std::make_unique<CheckedEndpoint>(std::move(endpoint), shared_, peer, capabilities_));
  }
  bool poll() noexcept override { return inner_->poll(); }
  bool idle() const noexcept override { return inner_->idle(); }
  Status status() const override { return shared_->failure.ok() ? inner_->status() : shared_->failure; }

 private:
  std::unique_ptr<Transport> inner_;
  std::shared_ptr<Shared> shared_;
  Capabilities capabilities_;
};

}  // namespace
}  // namespace checked

Result<std::unique_ptr<Transport>> checked_transport(std::unique_ptr<Transport> inner,
                                                     const TransportOptions& options,
                                                     std::vector<std::string> names) {
  if (inner->capabilities().slot_bytes <= checked::kRoom)
    return Status(Code::kUnsupported, fmt::format("slots of {} bytes have no room for a checksum",
                                                  inner->capabilities().slot_bytes));
  const std::string name(inner->name());
  return std::unique_ptr<Transport>(std::make_unique<checked::CheckedTransport>(
      std::move(inner), checked::Shared{options.rank, options.lanes, name, std::move(names), {}}));
}

}  // namespace hansa
