// What messages without slots leave from and land in, made known to the provider where it asks for that
// (FI_MR_LOCAL).
//
// Memory of our own (hansa::Memory) is registered whole at its first message and stays so: the id of an
// allocation is given once, so a region is never taken for one of what lies at the same address later. Any
// other memory may be unmapped and mapped again without a word, and its region would then be of pages that
// nobody sees any more. So its messages are copied, by way of pads: registered pieces of memory of the
// registry's own.
//
// Knows nothing of posts. Every call is made with the port's turn taken.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "hansa/memory.hpp"
#include "transports/libfabric/fabric.hpp"
#include "transports/libfabric/retry.hpp"

namespace hansa::libfabric {

class Registry {
 private:
  struct Piece;

 public:
  // Fabric's. To be asked again when it has refused.
  using Enroll = std::function<Result<Owned<fid_mr>>(Bytes)>;
  // Bytes of allocations that are known at a time. Those are backed from their birth, so what this keeps
  // small is the NIC's table of their pages: 8 MiB of it. How much may be locked is the host's to say.
  static constexpr std::size_t kMostBytes = std::size_t{4} << 30;
  // A pad is at least so long, so that one serves any chunk (Capabilities::message_bytes()).
  static constexpr std::size_t kLeastPad = std::size_t{64} << 10;

  enum class Way : std::uint8_t { kLeaves, kLands };

  // Where one message lies for the provider, from before its post until the provider has let go of it.
  struct Berth {
    Bytes memory;
    fid_mr* region = nullptr;
    bool taken = false;
    bool pad = false;  // the message is copied to there, or from there
    Piece* piece = nullptr;
  };

  // Without `enroll` the provider asks for nothing: every message lies where it is.
  explicit Registry(Enroll enroll, std::size_t most_bytes = kMostBytes)
      : enroll_(std::move(enroll)), most_bytes_(most_bytes) {}
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // A berth for a message; one that is not taken if there is none before another is given back: to be asked
  // for again, as often as one likes. `owner` knows our own memory, and is asked no more once it is gone;
  // null: the message goes by a pad. kSystem, with the remedy, where there will never be one.
  Result<Berth> take(Bytes message, const Memory* owner, Way way) {
    if (!enroll_) return Berth{.memory = message, .taken = true};
    return take_registered(message, owner, way);
  }
  // Leaves it untaken, as it may have been.
  void give_back(Berth& berth);

  // Makes memory known that its caller keeps, at the cost of what nobody uses here.
  Result<Owned<fid_mr>> enroll(Bytes memory);
  // Closes all regions, of whoever has a berth, too.
  void close();

 private:
  struct FreePages {
    void operator()(std::byte* memory) const;
  };
  // An allocation, or a pad, which then is the registry's.
  struct Piece {
    std::unique_ptr<std::byte, FreePages> pages;
    Bytes memory;
    Owned<fid_mr> region;  // null: the provider has refused the allocation
    const Memory* owner = nullptr;
    Way way = Way::kLeaves;
    std::uint32_t users = 0;
    std::uint64_t last_use = 0;
  };
  struct Pads {
    std::vector<std::unique_ptr<Piece>> all;
    std::vector<Piece*> idle;
  };

  Result<Berth> take_registered(Bytes message, const Memory* owner, Way way);
  Berth take_piece(Piece& piece, Bytes memory);
  Piece* find(Bytes message, const Memory* owner);
  Piece* add(const Allocation& allocation, const Memory* owner);
  Status make_pad(std::size_t bytes, Way way);
  Piece* idle_pad(std::size_t bytes, Way way);
  const Piece* longest_launch_pad() const;
  bool has_launch_pad(std::size_t bytes) const;
  void drop_freed(const Memory* owner);
  bool evict_allocation();
  bool evict_pad();
  Pads& pads(Way way) { return pads_[static_cast<std::size_t>(way)]; }
  void complain(const Status& refusal, const char* consequence);

  Enroll enroll_;
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;  // of allocations that are registered
  std::size_t taken_ = 0;  // berths
  std::uint64_t uses_ = 0;
  std::map<std::uint64_t, Piece> allocations_;  // by id
  std::array<Pads, 2> pads_;                    // by way
  Retry retry_;                                 // of pads
  bool complained_ = false;
};

}  // namespace hansa::libfabric
