// What moves bytes. A Transport is one way to reach other ranks (one NIC, one shared-memory domain, one
// address space) for one communicator of one rank; an Endpoint is the way to one peer.
//
// THE SLOT MODEL. Every (peer, lane, direction) is a channel: a ring of `slots` slots of `slot_bytes`
// in order, with credits, so nothing flies that has no place to land and nothing is ever matched by
// searching. The sender reserves a slot, lets the combine write its result straight into it and
// commits; the receiver peeks, lets the combine read straight from it and releases. A transport chooses
// what a slot is: a cell in shared memory, a registered buffer that a tagged message leaves from.
//
// DIRECT MEMORY. Where `direct` says so, the user's own memory is reached without a slot: its owner
// describes it, the descriptor travels in a slot like any message, and the peer maps it (and
// combines in place) or gets and puts by pieces. Which messages go so is decided by lowering, by one
// rule from facts both sides know, never by one side alone.
//
// BILLBOARD. Where the endpoint has one, what several peers get alike is written once, to where all of them
// read it as if it lay in a slot of their own (see Billboard).
//
// FREIGHT. Where the endpoint has it, long messages need no slot either: they leave from the sender's memory
// and land in the receiver's, who says where before they fly (see Freight).
//
// THREADS. All calls on a Transport and its Endpoints come from one thread at a time (the owner of the
// progress context); no call blocks, none allocates after connect(), except where said and at the first
// message of a channel.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hansa/interface.hpp"
#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa {

class Memory;
class Billboard;
class Freight;

// What a message is called where the medium needs a name (tags). `receiver` is a number that its endpoint has
// given to one rank of one communicator, and gives to no other soon; `sender` tells the ranks apart that
// share the sender's endpoint. So late bytes of a failed operation, early bytes of a communicator not yet
// created and those of others that share the endpoints cannot match wrongly. `sequence` counts a channel's
// slots from 0; senders and receivers count alike.
struct MessageId {
  static constexpr int kReceiverBits = 14, kSequenceBits = 14;
  std::uint16_t receiver = 0;
  std::uint8_t sender = 0;
  std::uint8_t lane = 0;       // 4 bits
  std::uint32_t sequence = 0;  // low bits
  // The least that a fabric we know leaves to us (cxi in RNR mode).
  static constexpr int kTagBits = 40;
  constexpr std::uint64_t tag() const {
    return std::uint64_t{receiver & ((1u << kReceiverBits) - 1)} << 26 | std::uint64_t{sender} << 18 |
           std::uint64_t{lane & 15u} << kSequenceBits | (sequence & ((1u << kSequenceBits) - 1));
  }
};

// Which messages between memories that cannot be mapped had better go through slots, where a channel holds
// them, than by get() and put(): two copies, but one by each end.
enum class Staged : std::uint8_t {
  kNone,
  kSome,  // short ones, and those that their receiver combines: it would have to put them by in between
  kAll    // copies between the two memories are dear
};

struct Capabilities {
  std::size_t slot_bytes = 0;  // payload of one slot; the same on all ranks, a multiple of 64
  std::uint32_t slots = 0;     // of one channel; at least 2; the same on all ranks
  bool direct = false;         // describe(), map(), get(), put() work towards this peer, for any memory
  bool direct_own = false;     // they do for memory from TransportOptions::memory, and map() reaches it
  bool lingers = false;        // of a transport: idle() may be false
  bool awaits_peers = false;  // of a transport: it is not idle before they have answered, busy as they may be
  bool asks_kernel = false;   // of a transport: poll() makes system calls, so a yield more costs little
  Staged staged = Staged::kNone;
  // What this peer cannot map may be copied into memory that it can (of TransportOptions::memory), once for
  // all who read it there.
  bool deposits = false;
  // Messages of so many bytes and more are better written into their slots past the caches: never what lies
  // together in fewer than kLeastStreamed. Changes as the endpoint learns what its slots cost.
  static constexpr std::uint32_t kLeastStreamed = 2048;
  std::size_t streams_from = SIZE_MAX;
  // Of an endpoint: messages of `posts_from` bytes and more that several peers get had better be posted, slot
  // by slot, for this one under `billboard_place`. Null where nothing can be.
  Billboard* billboard = nullptr;
  std::uint32_t billboard_place = 0;
  std::size_t posts_from = SIZE_MAX;
  // Of an endpoint: it carries messages of `freight_from` bytes and more without slots, on the first
  // `freight_lanes` lanes. Null where it does not. Both ends say the same.
  Freight* freight = nullptr;
  std::size_t freight_from = SIZE_MAX;
  std::uint16_t freight_lanes = 0;
  // The largest message of which a channel holds two.
  constexpr std::size_t message_bytes() const { return slot_bytes * (slots / 2); }
};

// An arrived slot. `data` is valid until release(); it is aligned to 8 bytes at least.
struct Arrival {
  const std::byte* data = nullptr;  // null: not yet
  std::uint32_t bytes = 0;
  std::uint32_t stamp = 0;
};

// Memory as a peer may reach it. Travels as bytes between ranks; a receiver trusts none of it.
struct Descriptor {
  std::uint64_t address = 0;  // in the owner's address space
  std::uint64_t bytes = 0;
  std::uint64_t allocation = 0;  // of ours (see Memory), else 0
  std::uint64_t offset = 0;      // in that allocation
};

// Tells when a get, put, landing or launch is done. Stays where it is until then. Any thread that polls for
// a transport which shares what lies beneath may be the one that writes it: who sees it done sees the bytes.
struct Completion {
  enum class State : std::uint8_t { kPending, kDone, kFailed };
  class Word {
   public:
    Word(State now = State::kPending) noexcept : now_(now) {}
    Word(const Word& other) noexcept : now_(static_cast<State>(other)) {}
    Word& operator=(const Word& other) noexcept { return *this = static_cast<State>(other); }
    Word& operator=(State now) noexcept {
      now_.store(now, std::memory_order_release);
      return *this;
    }
    operator State() const noexcept { return now_.load(std::memory_order_acquire); }

   private:
    std::atomic<State> now_;
  };
  Word state = State::kPending;
  bool attended = false;  // the peer polls until it knows that this is done
};

// The part of a transport that posts messages for several peers at once. Each of them still takes one of its
// channel's slots, in order with all others, and its receiver peeks and releases as ever.
class Billboard {
 public:
  struct Reader {
    std::uint32_t place = 0;  // Capabilities::billboard_place
    std::uint16_t lane = 0;
  };
  virtual ~Billboard() = default;
  // Room for the post `ahead` places behind the next one, of a slot's bytes; null while somebody has not
  // released what lies there, or where there is no memory. Repeating the call gives the same room. ahead <
  // slots.
  virtual std::byte* reserve(std::uint32_t ahead) noexcept = 0;
  // Sends the next post as the next slot of each reader, whose endpoint's reserve(lane, 0) is not null.
  virtual void commit(std::span<const Reader> readers, std::uint32_t bytes, std::uint32_t stamp) noexcept = 0;
  // As Capabilities::streams_from.
  virtual std::size_t streams_from() const noexcept = 0;
};

// The part of an endpoint that carries long messages without slots. Each lane has, beside the sequence of its
// slots, one of landings and launches: the n-th launch lands in the n-th landing. Nothing travels but the
// bytes, so both ends must know from elsewhere that such a message comes, and its length.
//
// A completion is written inside the call or inside a later poll(); until then the memory is the transport's:
// it stays, and nobody writes to it. Endpoint::quiesce() ends all, and writes no completion; nor does a
// transport that has failed, whose status() says why.
class Freight {
 public:
  // Landings of a lane that are not done, and launches, at most.
  static constexpr std::uint32_t kWindow = 4;
  virtual ~Freight() = default;
  // The lane's next message lands in `into`, whose length it has.
  virtual void land(std::uint16_t lane, Bytes into, Completion& done) noexcept = 0;
  // Whether the peer has said where the lane's next launch lands. Once true it stays so until the launch.
  virtual bool ready(std::uint16_t lane) noexcept = 0;
  // Sends the lane's next message; after ready().
  virtual void launch(std::uint16_t lane, BytesView from, Completion& done) noexcept = 0;
};

class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual const Capabilities& capabilities() const noexcept = 0;

  // The slot `ahead` places behind the next one to be committed (0 = that one), or null while the peer
  // has not released enough. Repeating the call gives the same slot. ahead < slots.
  virtual std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept = 0;
  // Sends the next slot with its first `bytes` (0 is a message too) and a word for the receiver. It can still
  // be read, unchanged, until reserve() gives it out again.
  virtual void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept = 0;
  // The slot `ahead` places behind the oldest unreleased one, if it has arrived. ahead < slots.
  virtual Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept = 0;
  // Gives the oldest arrived slot back.
  virtual void release(std::uint16_t lane) noexcept = 0;

  // Local memory in words this peer understands. The memory stays valid until the peer has said, by a
  // message, that it is done.
  virtual Descriptor describe(BytesView memory) noexcept = 0;
  // The peer's memory in this address space, or null if it cannot be mapped (then get and put). May make
  // system calls and allocate the first time an allocation is seen. Valid as long as the endpoint.
  virtual std::byte* map(const Descriptor& remote) noexcept = 0;
  // Copy between the peer's memory (from `offset` of the descriptor) and ours. The completion is written
  // inside this call or inside a later poll(). Any number may be under way.
  virtual void get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept = 0;
  virtual void put(const Descriptor& remote, std::size_t offset, BytesView from,
                   Completion& done) noexcept = 0;

  // After this returns, no byte of the peer lands in, or is read from, memory of ours through this
  // endpoint. May block for a bounded time (2 s). The endpoint is of no further use.
  virtual void quiesce() noexcept = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual const Capabilities& capabilities() const noexcept = 0;
  // What peers need to reach this rank; travels over the bootstrap. At most 1 KiB.
  virtual std::vector<std::byte> address() const = 0;
  // A way to the peer (or to this rank itself) that sent `address`. May block for a bounded time; fails with
  // kUnsupported where this transport cannot reach it (another host, a container), which is no error.
  // Collective in pairs: both ends call it; traffic may start only after both have returned (the
  // caller sees to that).
  virtual Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) = 0;
  // Moves things on; true if anything happened. Must be called for peers to make progress.
  virtual bool poll() noexcept = 0;
  // Nothing waits for poll(): all that was committed has left, and peers have their slots back. Where this is
  // not always true, `lingers` says so: somebody must poll between calls too, or peers wait for a rank that
  // is busy elsewhere.
  virtual bool idle() const noexcept { return true; }
  // Why the transport as a whole has failed; ok while it works.
  virtual Status status() const { return {}; }
};

// How large messages get from one process's private memory into another's on the same host.
enum class Copier : std::uint8_t {
  kFaster,  // what was measured to be
  kKernel,  // it makes a single copy
  kRanks,   // both ranks copy at the same time, where both wait in the same call
  kSlots,   // through slots, by chunks that a channel holds
  kDepot    // its owner copies it into memory that all map, once for all who read it there
};

// What the transports of a process share, by name, each for as long as one of them uses it. The name tells
// the type.
struct SharedParts {
  std::mutex mutex;  // held while one is looked for, and made
  std::map<std::string, std::vector<std::weak_ptr<void>>, std::less<>> parts;
};

// How a rank's rails fare.
struct RailCounts {
  std::uint32_t rails = 0;   // interfaces in use
  std::uint32_t down = 0;    // of them, counted once for each peer that is not reached by it now
  std::uint64_t lost = 0;    // how often one went down, and
  std::uint64_t back = 0;    // came back
  std::uint64_t resent = 0;  // messages of a slot that went again by another
};

// One communicator's wish for a transport.
struct TransportOptions {
  Rank rank = 0, ranks = 1;
  std::uint16_t lanes = 1;
  std::uint64_t communicator = 0;  // random, the same on all ranks
  Memory* memory = nullptr;        // who knows our own allocations; outlives the transport; may be null
  SharedParts* shared = nullptr;   // outlives the transport; null: it shares nothing
  Copier copier = Copier::kFaster;
  // Of all ranks, for people, while connections are made; may be empty.
  std::span<const std::string> names = {};
  Rank neighbours = 0;                           // ranks of this host, this one included; 0: all
  std::chrono::milliseconds patience{5000};      // with a peer that does not answer in connect()
  const std::atomic<bool>* cancelled = nullptr;  // ends connect() soon when it becomes true; may be null
  std::string_view interface =
      {};  // network interface or IP address to bind to; empty: loopback, for this host only
  // Where there are several, instead: as many on all ranks, each one's peers at its place in their lists.
  std::span<const Interface> rails = {};
  std::uint32_t nearest_rail = 0;
  std::function<void(const RailCounts&)> rails_changed = {};  // by the thread that polls; must not block
};

// A row of transports/builtin.cc.
struct TransportKind {
  std::string_view name;
  // Whether this process can use it at all, and if not, why not and what would help.
  Status (*probe)();
  Result<std::unique_ptr<Transport>> (*open)(const TransportOptions&);
  bool within_process = false;  // reaches nobody else, so where no two ranks share one it need not be tried
  bool within_host =
      false;  // reaches nobody else, so those it connects are of one host; such rows come first
};

// In order of preference.
std::span<const TransportKind> builtin_transports();

}  // namespace hansa
