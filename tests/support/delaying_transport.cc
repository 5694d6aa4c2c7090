#include "tests/support/delaying_transport.hpp"

#include <algorithm>
#include <deque>
#include <vector>

namespace hansa::test {
namespace {

// Decides when something may happen: once in `pace_` questions on average, the pace changing now and then.
class Mood {
 public:
  explicit Mood(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u) {}

  bool willing() {
    if (draw(64) == 0) pace_ = 1u << draw(5);
    return draw(pace_) == 0;
  }
  std::uint32_t draw(std::uint32_t below) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33) % below;
  }

 private:
  std::uint64_t state_;
  std::uint32_t pace_ = 2;
};

// One lane to one peer, both directions.
class DelayedLane {
 public:
  DelayedLane(Endpoint& inner, std::uint16_t lane, std::uint64_t seed)
      : inner_(inner), lane_(lane), slots_(inner.capabilities().slots), mood_(seed) {}

  std::byte* reserve(std::uint32_t ahead) {
    const auto held = static_cast<std::uint32_t>(commits_.size());
    if (held + ahead >= slots_ || (ahead >= granted_ && !mood_.willing())) return nullptr;
    std::byte* const slot = inner_.reserve(lane_, held + ahead);
    if (slot != nullptr) granted_ = std::max(granted_, ahead + 1);
    return slot;
  }
  void commit(std::uint32_t bytes, std::uint32_t stamp) {
    commits_.push_back({bytes, stamp});
    if (granted_ > 0) --granted_;
  }
  Arrival peek(std::uint32_t ahead) {
    if (releases_ + ahead >= slots_ || (ahead >= visible_ && !mood_.willing())) return {};
    const Arrival arrival = inner_.peek(lane_, releases_ + ahead);
    if (arrival.data != nullptr) visible_ = std::max(visible_, ahead + 1);
    return arrival;
  }
  void release() {
    ++releases_;
    if (visible_ > 0) --visible_;
  }

  // Lets some of what was held back out, or all of it.
  bool advance(bool all) {
    bool moved = false;
    while (!commits_.empty() && (all || mood_.willing())) {
      inner_.commit(lane_, commits_.front().bytes, commits_.front().stamp);
      commits_.pop_front();
      moved = true;
    }
    while (releases_ > 0 && (all || mood_.willing())) {
      inner_.release(lane_);
      --releases_;
      moved = true;
    }
    return moved;
  }

  // Whether anything waits to be passed on.
  bool holds() const { return !commits_.empty() || releases_ > 0; }

 private:
  struct Commit {
    std::uint32_t bytes, stamp;
  };
  Endpoint& inner_;
  std::uint16_t lane_;
  std::uint32_t slots_;
  Mood mood_;
  std::deque<Commit> commits_;  // not yet passed on
  std::uint32_t releases_ = 0;  // not yet passed on
  // What was shown once stays shown, or a caller who saw all it needs could lose it again.
  std::uint32_t granted_ = 0, visible_ = 0;
};

// One get or put that has not been passed on.
struct Access {
  bool put = false;
  Descriptor remote;
  std::size_t offset = 0;
  Bytes into;
  BytesView from;
  Completion* done = nullptr;
};

// A message without a slot that has not been passed on.
struct Cargo {
  bool launch = false;
  std::uint16_t lane = 0;
  Bytes memory;
  Completion* done = nullptr;
};

// All that an endpoint holds back; the transport's poll() moves it.
class DelayedPeer {
 public:
  DelayedPeer(std::unique_ptr<Endpoint> endpoint, std::uint16_t lane_count, std::uint64_t seed)
      : inner(std::move(endpoint)), mood_(seed) {
    for (std::uint16_t lane = 0; lane < lane_count; ++lane) lanes.emplace_back(*inner, lane, seed + 1 + lane);
  }

  bool idle() const {
    return accesses.empty() && cargo.empty() &&
           std::none_of(lanes.begin(), lanes.end(), [](const DelayedLane& lane) { return lane.holds(); });
  }

  bool advance(bool all) {
    bool moved = false;
    for (DelayedLane& lane : lanes) moved |= lane.advance(all);
    for (; !cargo.empty() && (all || mood_.willing()); cargo.pop_front(), moved = true) {
      const Cargo& first = cargo.front();
      Freight& freight = *inner->capabilities().freight;
      if (first.launch)
        freight.launch(first.lane, first.memory, *first.done);
      else
        freight.land(first.lane, first.memory, *first.done);
    }
    while (!accesses.empty() && mood_.willing()) {
      const std::uint32_t which = mood_.draw(static_cast<std::uint32_t>(accesses.size()));
      const Access access = accesses[which];
      accesses.erase(accesses.begin() + which);
      if (access.put) {
        inner->put(access.remote, access.offset, access.from, *access.done);
      } else {
        inner->get(access.remote, access.offset, access.into, *access.done);
      }
      moved = true;
    }
    return moved;
  }

  std::unique_ptr<Endpoint> inner;
  std::vector<DelayedLane> lanes;
  std::vector<Access> accesses;
  std::deque<Cargo> cargo;

 private:
  Mood mood_;
};

class DelayingEndpoint final : public Endpoint, Freight {
 public:
  DelayingEndpoint(std::shared_ptr<DelayedPeer> peer, Staged staged, bool deposits, bool maps)
      : peer_(std::move(peer)), capabilities_(peer_->inner->capabilities()), maps_(maps) {
    capabilities_.streams_from = 0;
    capabilities_.staged = staged;
    capabilities_.deposits = deposits;
    capabilities_.billboard = nullptr;  // it would not be late
    if (capabilities_.freight != nullptr) capabilities_.freight = this;
  }
  ~DelayingEndpoint() override {
    for (DelayedLane& lane : peer_->lanes) lane.advance(true);
  }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return peer_->lanes[lane].reserve(ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    peer_->lanes[lane].commit(bytes, stamp);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return peer_->lanes[lane].peek(ahead);
  }
  void release(std::uint16_t lane) noexcept override { peer_->lanes[lane].release(); }
  Descriptor describe(BytesView memory) noexcept override { return peer_->inner->describe(memory); }
  std::byte* map(const Descriptor& remote) noexcept override {
    return maps_ ? peer_->inner->map(remote) : nullptr;
  }
  void get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept override {
    done.state = Completion::State::kPending;
    peer_->accesses.push_back({false, remote, offset, into, {}, &done});
  }
  void put(const Descriptor& remote, std::size_t offset, BytesView from, Completion& done) noexcept override {
    done.state = Completion::State::kPending;
    peer_->accesses.push_back({true, remote, offset, {}, from, &done});
  }
  // What is held back is only launched once the inner endpoint is ready for it, which it then stays.
  bool ready(std::uint16_t lane) noexcept override {
    const auto held = std::any_of(peer_->cargo.begin(), peer_->cargo.end(),
                                  [&](const Cargo& one) { return one.launch && one.lane == lane; });
    return !held && peer_->inner->capabilities().freight->ready(lane);
  }
  void land(std::uint16_t lane, Bytes into, Completion& done) noexcept override {
    peer_->cargo.push_back({false, lane, into, &done});
  }
  void launch(std::uint16_t lane, BytesView from, Completion& done) noexcept override {
    peer_->cargo.push_back({true, lane, {const_cast<std::byte*>(from.data()), from.size()}, &done});
  }
  void quiesce() noexcept override {
    peer_->cargo.clear();
    for (const Access& access : peer_->accesses) access.done->state = Completion::State::kFailed;
    peer_->accesses.clear();
    peer_->inner->quiesce();
  }

 private:
  std::shared_ptr<DelayedPeer> peer_;
  Capabilities capabilities_;
  const bool maps_;
};

class DelayingTransport final : public Transport {
 public:
  DelayingTransport(std::unique_ptr<Transport> inner, std::uint16_t lanes, std::uint64_t seed, bool maps)
      : inner_(std::move(inner)),
        capabilities_(inner_->capabilities()),
        lanes_(lanes),
        seed_(seed),
        maps_(maps) {
    capabilities_.lingers = true;
  }
  std::string_view name() const noexcept override { return inner_->name(); }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::vector<std::byte> address() const override { return inner_->address(); }
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    HANSA_ASSIGN_OR_RETURN(auto endpoint, inner_->connect(peer, address));
    const std::uint64_t seed = (seed_ + static_cast<std::uint64_t>(peer) + 1) * 0xd1342543de82ef95u;
    auto delayed = std::make_shared<DelayedPeer>(std::move(endpoint), lanes_, seed);
    peers_.push_back(delayed);
    return std::unique_ptr<Endpoint>(std::make_unique<DelayingEndpoint>(
        std::move(delayed), static_cast<Staged>(seed_ / 3 % 3), seed_ / 9 % 2 == 1, maps_));
  }
  bool poll() noexcept override {
    bool moved = inner_->poll();
    std::erase_if(peers_, [](const auto& peer) { return peer.expired(); });
    for (const auto& peer : peers_) {
      if (const auto alive = peer.lock()) moved |= alive->advance(false);
    }
    return moved;
  }
  bool idle() const noexcept override {
    return inner_->idle() && std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) {
             const auto alive = peer.lock();
             return !alive || alive->idle();
           });
  }
  Status status() const override { return inner_->status(); }

 private:
  std::unique_ptr<Transport> inner_;
  Capabilities capabilities_;
  std::uint16_t lanes_;
  std::uint64_t seed_;
  bool maps_;
  std::vector<std::weak_ptr<DelayedPeer>> peers_;
};

}  // namespace

std::unique_ptr<Transport> delaying_transport(std::unique_ptr<Transport> inner, std::uint16_t lanes,
                                              std::uint64_t seed, bool maps) {
  return std::make_unique<DelayingTransport>(std::move(inner), lanes, seed, maps);
}

}  // namespace hansa::test
