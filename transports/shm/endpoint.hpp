#pragma once

#include <memory>
#include <string>
#include <vector>

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
  Status failure;
};

class ShmEndpoint final : public Endpoint {
 public:
  // `incoming` is the peer's region in our inbox, `outgoing` ours in the peer's.
  ShmEndpoint(Rank peer, std::shared_ptr<Local> local, std::byte* incoming,
              std::shared_ptr<std::byte> outgoing, PeerMemory peer_memory);

  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override;
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override;
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override;
  void release(std::uint16_t lane) noexcept override;
  Descriptor describe(BytesView memory) noexcept override { return local_->memory.describe(memory); }
  std::byte* map(const Descriptor& remote) noexcept override { return peer_memory_.map(remote); }
  void get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept override;
  void put(const Descriptor& remote, std::size_t offset, BytesView from, Completion& done) noexcept override;
  void quiesce() noexcept override;

 private:
  struct alignas(128) Lane {
    Sender<Cells> out;
    Receiver<Cells> in;
    bool out_backed = false, in_backed = false;
  };
  // Sets `backed`, or fails the transport.
  bool back(std::byte* region, std::uint16_t lane, bool* backed) noexcept;
  std::byte* reserve_first(std::uint16_t lane, std::uint32_t ahead) noexcept;
  Arrival peek_first(std::uint16_t lane, std::uint32_t ahead) noexcept;
  Arrival refuse(std::uint32_t bytes) noexcept;
  template <class Move>
  void visit(Completion& done, Move move) noexcept;

  Rank peer_;
  std::shared_ptr<Local> local_;
  std::byte* incoming_;
  std::shared_ptr<std::byte> outgoing_;
  std::vector<Lane> lanes_;
  Visitor<GateWords> visitor_;
  Doorkeeper<GateWords> doorkeeper_;
  PeerMemory peer_memory_;
  Capabilities capabilities_;
};

}  // namespace hansa::shm
