#include "tests/support/cable_transport.hpp"

#include <algorithm>
#include <deque>
#include <vector>

#include "transports/slots_only.hpp"

namespace hansa::test {
namespace {

using SharedCable = std::shared_ptr<std::atomic<Cable>>;

// One lane to one peer: what was committed and released while the cable was not whole.
struct HeldLane {
  struct Commit {
    std::uint32_t bytes, stamp;
  };
  std::deque<Commit> commits;
  std::uint32_t releases = 0, shown = 0;
};

struct HeldPeer {
  std::unique_ptr<Endpoint> inner;
  std::vector<HeldLane> lanes;

  bool let_go() {
    bool any = false;
    for (std::uint16_t lane = 0; lane < lanes.size(); ++lane) {
      for (; !lanes[lane].commits.empty(); lanes[lane].commits.pop_front(), any = true)
        inner->commit(lane, lanes[lane].commits.front().bytes, lanes[lane].commits.front().stamp);
      for (; lanes[lane].releases > 0; --lanes[lane].releases, any = true) inner->release(lane);
    }
    return any;
  }
};

class CableEndpoint final : public SlotsOnlyEndpoint {
 public:
  CableEndpoint(std::shared_ptr<HeldPeer> peer, SharedCable cable)
      : peer_(std::move(peer)), cable_(std::move(cable)), capabilities_(peer_->inner->capabilities()) {
    capabilities_.direct = capabilities_.direct_own = false;
    capabilities_.freight = nullptr;  // they would go past the cable
    capabilities_.billboard = nullptr;
  }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    const auto held = static_cast<std::uint32_t>(peer_->lanes[lane].commits.size());
    return held + ahead < capabilities().slots ? peer_->inner->reserve(lane, held + ahead) : nullptr;
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    peer_->lanes[lane].commits.push_back({bytes, stamp});
    if (whole()) peer_->let_go();
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    HeldLane& held = peer_->lanes[lane];
    if ((!whole() && ahead >= held.shown) || held.releases + ahead >= capabilities().slots) return {};
    const Arrival arrival = peer_->inner->peek(lane, held.releases + ahead);
    if (arrival.data != nullptr) held.shown = std::max(held.shown, ahead + 1);
    return arrival;
  }
  void release(std::uint16_t lane) noexcept override {
    HeldLane& held = peer_->lanes[lane];
    ++held.releases;
    --held.shown;
    if (whole()) peer_->let_go();
  }
  void quiesce() noexcept override { peer_->inner->quiesce(); }

 private:
  bool whole() const { return cable_->load() == Cable::kWhole; }

  std::shared_ptr<HeldPeer> peer_;
  SharedCable cable_;
  Capabilities capabilities_;
};

class CableTransport final : public Transport {
 public:
  CableTransport(std::unique_ptr<Transport> inner, std::uint16_t lanes, SharedCable cable)
      : inner_(std::move(inner)),
        lanes_(lanes),
        cable_(std::move(cable)),
        capabilities_(inner_->capabilities()) {
    capabilities_.lingers = true;
    capabilities_.direct = capabilities_.direct_own = false;
    capabilities_.freight = nullptr;
    capabilities_.billboard = nullptr;
  }
  std::string_view name() const noexcept override { return inner_->name(); }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::vector<std::byte> address() const override { return inner_->address(); }
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    HANSA_ASSIGN_OR_RETURN(auto endpoint, inner_->connect(peer, address));
    auto held = std::make_shared<HeldPeer>();
    held->inner = std::move(endpoint);
    held->lanes.resize(lanes_);
    peers_.push_back(held);
    return std::unique_ptr<Endpoint>(std::make_unique<CableEndpoint>(std::move(held), cable_));
  }
  bool poll() noexcept override {
    bool any = inner_->poll();
    for (const auto& peer : peers_)
      if (cable_->load() == Cable::kWhole) any = peer->let_go() || any;
    return any;
  }
  bool idle() const noexcept override { return inner_->idle(); }
  Status status() const override {
    return cable_->load() == Cable::kCut ? Status(Code::kRemote, "the cable is cut") : inner_->status();
  }

 private:
  std::unique_ptr<Transport> inner_;
  const std::uint16_t lanes_;
  SharedCable cable_;
  Capabilities capabilities_;
  std::vector<std::shared_ptr<HeldPeer>> peers_;
};

}  // namespace

std::unique_ptr<Transport> cable_transport(std::unique_ptr<Transport> inner, std::uint16_t lanes,
                                           std::shared_ptr<std::atomic<Cable>> cable) {
  return std::make_unique<CableTransport>(std::move(inner), lanes, std::move(cable));
}

}  // namespace hansa::test
