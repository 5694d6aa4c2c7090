// How ranks find each other before any transport exists, and how they learn of each other's fate
// afterwards. A Session is one rank's membership in one communicator, over authenticated sockets.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hansa/interface.hpp"
#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa {

// The 128 opaque bytes that users broadcast: version, address of the root, 32 bytes of secret. Never logged.
using UniqueId = std::array<std::byte, 128>;

struct Member {
  std::string host;       // identity of the host (boot id and namespace, or HANSA_HOST_ID)
  std::string host_name;  // for people
  std::int32_t pid = 0;
  std::uint64_t process = 0;  // random per process: equal means the same address space
  std::uint8_t rails = 1;     // how many interfaces its rails() has
};

struct SessionOptions {
  std::string interface;   // names, their beginnings or an address to bind and advertise; empty: chosen
  int address_family = 0;  // 4 or 6 allows no other kind of address; 0: either
  std::uint16_t port_first = 0, port_last = 0;  // 0: any port
  std::chrono::milliseconds timeout{60'000};    // for the whole join; the error names who is missing
  const std::atomic<bool>* cancelled =
      nullptr;                    // set by another thread to give up within 100 ms; may be null
  std::string host_id;            // stands in for the host's identity (tests); empty: the real one
  bool root_may_be_late = false;  // the id is not served yet (Session::reunion): wait for it, too
  // Asked now and then while joining: not ok gives up with that. May be empty.
  std::function<Status()> bereaved = {};
  // Of create_unique_id alone: where all ranks of every communicator meet, as host:port or [IPv6]:port, and
  // the word they share or @ and a file with it; empty: this process serves the root, and the id carries a
  // random secret.
  std::string meeting_point, secret;
};

// Counts what the root of a session handled, for tests of scale.
struct RootTraffic {
  std::uint64_t connections = 0;  // hosts that registered
  std::uint64_t messages = 0;     // sent and received by the root after registration
};

// What a rank does in a communicator, for the others to tell their users.
struct Whereabouts {
  enum class State : std::uint8_t { kOutside, kInside, kUnknown, kStopped, kSilent, kLeft };

  State state = State::kOutside;  // of its calls; unknown without a logbook; the last three others find
  bool collective = false;        // `call` is a collective
  std::uint64_t number = 0;       // of the last collective that it has entered
  std::uint32_t since_ms = 0;     // since it entered the call, or left it
  std::string call;               // in words, with its number; empty: none so far
  std::string communicator;       // by which people know it; stays on its host
  std::vector<Rank> waits_for;    // inside: whose messages are missing, as far as it knows
  // Of the collective that was asked about, where this rank has entered it; the signature is 0 where it says
  // nothing (a count of zero leaves at once).
  std::uint32_t asked_signature = 0;
  std::string asked_call;
};

// Why a rank wants to know what the others do.
struct Concern {
  enum class Why : std::uint8_t {
    kWaiting,   // its call goes on for a while: have all ranks made the same one?
    kLate,      // for so long that users want to know who is late
    kMismatch,  // a message that does not belong to its call has come
  };
  Why why = Why::kWaiting;
  std::uint64_t number = 0;  // of the collective it is in; 0: it is in something else
  std::string detail;        // of a mismatch: what has come
};

// What came of asking everybody. A mismatch is none: it fails the session. Without a text there is nothing to
// say: whoever asked has what it waited for.
struct Verdict {
  bool late = false;  // users want to know
  Rank speaker = -1;  // the one rank that is to tell them
  std::vector<Rank> missing;
  std::string text;
};

class Session {
 public:
  virtual ~Session() = default;  // leaves, if leave() was not called
  virtual Rank rank() const = 0;
  virtual Rank ranks() const = 0;
  virtual const std::vector<Member>& members() const = 0;  // by rank
  // Equal on all ranks, random, and no secret: names the communicator where transports need a name.
  virtual std::uint64_t number() const = 0;
  // Collective over the session; every rank gets every rank's bytes, by rank. Blocks until done or the
  // session's time-out, whose error names the missing ranks and their hosts on every rank. At most 64 KiB a
  // rank.
  virtual Result<std::vector<std::vector<std::byte>>> allgather(BytesView mine) = 0;
  // What a session tells of the others, from the control thread. Must not block.
  struct Watcher {
    std::function<void(const Status&)> failed;  // once, when a member dies or raises
    std::function<void(Rank)> left;             // a member is done, and has sent all it ever will
    // Asked when some rank has a concern, with the number of the collective that it is about.
    std::function<Whereabouts(std::uint64_t)> whereabouts = {};
    std::function<void(const Verdict&)> judged = {};
  };
  // From now on; what has happened already is told before this returns.
  virtual void watch(Watcher watcher) = 0;
  // Tells every member that this communicator has failed, and why. Does not block. First reason wins.
  virtual void raise(const Status& reason) = 0;
  // Has all ranks asked what they do. Everybody hears of the verdict, within a second where all control
  // threads run, or of the failure if calls with the same number differ; ranks that cannot answer are in it,
  // too. Concerns of several ranks, or of one that asks again, are answered together. `still_ms`: for how
  // long nothing has moved here; where that is long, the ways to the ranks that this one waits for are tried,
  // too. Does not block.
  virtual void ask(const Concern& concern, std::uint32_t still_ms) = 0;
  // This rank is done; its end from now on is no failure to others. Does not block. No callback comes
  // afterwards.
  virtual void leave() = 0;
  // Why it has failed; ok while it has not.
  virtual Status failure() const = 0;
  // The death of the first of these ranks that is known to be dead, whatever this has failed of; ok if none
  // is.
  virtual Status dead_among(const std::vector<Rank>& ranks) const = 0;
  // An id under which some of these ranks meet again, also after this session has failed, without a word
  // between them before: all who name the same `host` and `occasion` get the same one. It is served by rank
  // `host` from its own call on, so the others join() with root_may_be_late. Each one's time is its own
  // there: whose time is over goes alone and may come again, until all have met. Then the occasion is used
  // up. Until leave().
  virtual Result<UniqueId> reunion(Rank host, BytesView occasion) = 0;
  virtual RootTraffic root_traffic() const = 0;
  // The numeric IP address of the interface that SessionOptions chose on this host: where fabrics listen too.
  virtual Result<std::string> address() const = 0;
  // The interfaces over which this rank's data may go side by side: those that the user has named, else those
  // of a fabric that are as good as that one. In an order that is the same on hosts that are alike.
  virtual Result<std::vector<Interface>> rails() const = 0;
};

// Starts a root in this process (served by the control thread until its session is complete or
// abandoned) and returns its id. Any thread. With a meeting point it only resolves the name (blocking) and
// returns the id that every process gets there; join() as rank 0 then serves the root, for one session at a
// time.
Result<UniqueId> create_unique_id(const SessionOptions& options);

// Nobody will join by this id: what was set up for it here goes. Any other id is left alone. Any thread.
void discard_unique_id(const UniqueId& id);

// Joins; blocks until all ranks have joined or the time-out. Several ranks may join from several threads of a
// process.
Result<std::unique_ptr<Session>> join(const UniqueId& id, Rank rank, Rank ranks,
                                      const SessionOptions& options);

}  // namespace hansa
