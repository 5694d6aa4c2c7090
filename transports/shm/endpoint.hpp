#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/store_gauge.hpp"
#include "transports/shm/billboard.hpp"
#include "transports/shm/ferry.hpp"
#include "transports/shm/gate.hpp"
#include "transports/shm/inbox.hpp"
#include "transports/shm/own_memory.hpp"
#include "transports/shm/peer_memory.hpp"
#include "transports/shm/ring.hpp"

namespace hansa::shm {

// What a transport and its endpoints share; the last one takes it down.
struct Local {
  std::unique_ptr<control::FdProvider> provider;
  std::shared_ptr<Inbox> inbox;
  OwnMemory memory;
  std::uint64_t beacon = 0;
  Staged staged = Staged::kNone;  // messages to other processes
  bool deposits = false;          // what such cannot map may be copied into what they can
  std::size_t peers = 1;
  std::unique_ptr<OwnBillboard> billboard{};  // null: nothing is posted
  std::vector<Ferry*> ferries{};              // of the endpoints that have one
  Status failure{};
};

class ShmEndpoint final : public Endpoint {
 public:
  // Memory of the peer's inbox.
  struct Reached {
    std::shared_ptr<std::byte> region;       // ours
    std::shared_ptr<const std::byte> board;  // null: it posts nothing
  };

  // `incoming` is the peer's region in our inbox. `ferries`: copies that the peer attends to go by a Ferry;
  // both ends say the same.
  ShmEndpoint(Rank peer, std::shared_ptr<Local> local, std::byte* incoming, Reached outgoing,
              PeerMemory peer_memory, bool ferries);
  ~ShmEndpoint() override;
  ShmEndpoint(const ShmEndpoint&) = delete;
  ShmEndpoint& operator=(const ShmEndpoint&) = delete;

  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override;
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override;
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override;
  void release(std::uint16_t lane) noexcept override;
  Descriptor describe(BytesView memory) noexcept override;
  std::byte* map(const Descriptor& remote) noexcept override { return peer_memory_.map(remote); }
  void get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept override;
  void put(const Descriptor& remote, std::size_t offset, BytesView from, Completion& done) noexcept override;
  void quiesce() noexcept override;

  // Sends the next slot, whose message lies in a slot of the billboard; which of the lane's messages it is.
  std::uint64_t post(std::uint16_t lane, std::uint32_t slot, std::uint32_t bytes,
                     std::uint32_t stamp) noexcept;
  bool is_released(std::uint16_t lane, std::uint64_t message) noexcept {
    return lanes_[lane].out.is_released(message);
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct alignas(128) Lane {
    Sender<Cells> out;
    Receiver<Cells> in;
    bool out_backed = false, in_backed = false;
    bool out_plain = false;  // outgoing messages: backed, and none is to be timed
    bool plain = false;      // incoming messages: backed, and the ferry brings nothing
    // The message that is being timed, since when its first cell is filled, and how long that took, if known.
    std::uint64_t timed_message = UINT64_MAX;
    Clock::time_point filling{};
    std::chrono::nanoseconds took{};
    int looks = 0;  // how many more are timed though they may turn out to be short
  };
  // Sets `backed`, or fails the transport.
  bool back(std::byte* region, std::uint16_t lane, bool* backed) noexcept;
  std::byte* reserve_with_care(std::uint16_t lane, std::uint32_t ahead) noexcept;
  void after_commit(Lane& lane, std::uint32_t bytes) noexcept;
  Arrival peek_with_care(std::uint16_t lane, std::uint32_t ahead) noexcept;
  Arrival look(std::uint16_t lane, std::uint32_t ahead) noexcept;
  Arrival look_elsewhere(std::uint64_t flag, const std::byte* cell) noexcept;
  bool goes_by_ferry(const Descriptor& remote, std::size_t offset, std::size_t bytes,
                     const Completion& done) noexcept;
  template <class Move>
  void visit(Completion& done, Move move) noexcept;

  Rank peer_;
  std::shared_ptr<Local> local_;
  std::byte* incoming_;
  std::shared_ptr<std::byte> outgoing_;
  std::shared_ptr<const std::byte> board_;
  std::vector<Lane> lanes_;
  Visitor<GateWords> visitor_;
  Doorkeeper<GateWords> doorkeeper_;
  PeerMemory peer_memory_;
  std::optional<Ferry> ferry_;
  StoreGauge stores_;
  bool offered_ = false;  // memory for the ferry to bring to, ever
  Capabilities capabilities_;
};

}  // namespace hansa::shm
