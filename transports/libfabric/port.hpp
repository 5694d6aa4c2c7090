// One endpoint of the fabric, and all that use it: the transports of a process that go by the same provider
// and interface, be they of several communicators or of several ranks of one.
//
// THREADS. Any, each with the turn taken, but for poll(), which takes it itself. Whoever polls moves on
// everybody's messages.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "hansa/transport.hpp"
#include "transports/libfabric/door.hpp"
#include "transports/libfabric/fabric.hpp"
#include "transports/libfabric/registry.hpp"
#include "transports/libfabric/turn.hpp"

namespace hansa::libfabric {

class Peer;

// That a transport or a port waits for what it gave to the provider, when it goes.
inline constexpr std::chrono::milliseconds kLinger{500};

// What a message's tag calls the two it goes between: the receiver's number, unique on its port, and which of
// the ranks of the sender's port it is from.
struct PeerKey {
  std::uint16_t number = 0;
  std::uint8_t sender = 0;
  fi_addr_t address = FI_ADDR_UNSPEC;
  auto operator<=>(const PeerKey&) const = default;
};

// Above a tag's bits that are always there: which rank it is from, for providers that cannot match ports.
constexpr std::uint64_t sender_bits(Rank rank) {
  return static_cast<std::uint64_t>(rank) << MessageId::kTagBits;
}

class Port {
 public:
  // A transport's place: its number, which is not given again while others are left, and its place among the
  // communicator's ranks here.
  struct Seat {
    std::uint16_t number = 0;
    std::uint8_t sender = 0;
    std::uint64_t communicator = 0;
    std::size_t receives = 0;
  };
  // The seat is free for others when its last owner lets go of it, with the turn taken.
  struct Place {
    std::shared_ptr<Port> port;
    std::shared_ptr<const Seat> seat;
  };
  // How many receives a transport will post on a port of such a fabric; `first`: no other of its communicator
  // is there.
  using Need = std::function<std::size_t(const fi_info& info, bool first)>;
  // Of `parts`, if they are given, the first port that has room, and else a new one: where receives cannot
  // name the peer none is shared.
  static Result<Place> join(SharedParts* parts, std::shared_ptr<const Library> library, const Wish& wish,
                            std::uint64_t communicator, const Need& need);
  explicit Port(std::unique_ptr<Fabric> fabric);
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  ~Port();

  Turn& turn() { return turn_; }
  Fabric& fabric() { return *fabric_; }
  Registry& registry() { return registry_; }
  // Receives that stand at a time, of all together.
  std::size_t capacity() const { return fabric_->info().rx_attr->size; }
  // The first failure that is nobody's.
  const Status& status() const { return status_; }

  // Random, and told to others: the same address may later be another port's.
  std::uint64_t generation() const { return generation_; }
  // The way to the port of that generation at the address, opened once; it may not stand yet. The way to one
  // that was there before leads nowhere any more. The bits are Door's.
  Result<Door*> door(fi_addr_t address, std::uint64_t generation, std::uint64_t to_us, std::uint64_t from_us);
  void introduce(const PeerKey& key, Peer& peer) { peers_[key] = &peer; }
  void forget(const PeerKey& key) { peers_.erase(key); }
  Peer* find(const PeerKey& key) const;

  // Ends the endpoint, and all that use it fail: the last means against a message that may land in memory
  // which is no longer the transport's.
  void close();
  bool is_closed() const { return closed_; }

  // Whether the provider may have something to do for what it said was done.
  bool glows() const;

  void enlist(Poster& poster);
  // Keeps a poster that its transport has left until the provider has nothing of it, and so long its seat.
  void adopt(std::unique_ptr<Poster> poster, std::shared_ptr<const Seat> seat);
  // True if anything happened. False, too, while another thread has its turn.
  bool poll();

 private:
  static Result<std::shared_ptr<Port>> open(std::shared_ptr<const Library> library, const Wish& wish);
  // kUnsupported where there is no room.
  Result<std::shared_ptr<const Seat>> sit_down(std::uint64_t communicator, const Need& need);
  void stand_up(const Seat& seat);
  bool read();
  void read_errors();
  void look_for_losses();
  void release_regions();

  Turn turn_;
  std::unique_ptr<Fabric> fabric_;
  Registry registry_;
  Status status_;
  bool closed_ = false;
  std::size_t booked_ = 0;
  const std::uint64_t generation_;
  std::uint16_t last_number_;  // 0 is nobody's
  std::set<std::uint16_t> numbers_;
  std::set<std::pair<std::uint64_t, std::uint8_t>> senders_;  // with their communicators
  std::map<fi_addr_t, std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<Door>> walled_up_;  // to ports that are gone; peers may still name them
  std::map<PeerKey, Peer*> peers_;
  std::vector<Poster*> waiting_;  // with something to post
  std::chrono::steady_clock::time_point looked_{}, last_event_{};
  struct Orphan {
    std::unique_ptr<Poster> poster;
    std::shared_ptr<const Seat> seat;
  };
  std::vector<Orphan> orphans_;
};

}  // namespace hansa::libfabric
