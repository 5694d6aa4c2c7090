// Windows, memory that the ranks of a communicator show each other, and what works on them without the peer's
// help: puts and signals.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "hansa/bootstrap.hpp"
#include "hansa/memory.hpp"
#include "hansa/transport.hpp"

namespace hansa {

struct Window {
  void* buffer = nullptr;           // this rank's own
  std::vector<Descriptor> targets;  // by rank: everybody's, as this rank reaches it; for itself only `bytes`
};

// One call. A group's calls on one communicator are one operation: all puts and signals, then all waits.
struct OneSidedCall {
  enum class Kind : std::uint8_t { kPut, kSignal, kWait };
  Kind kind = Kind::kSignal;
  Rank peer = 0;
  int signal = 0, context = 0;
  const Window* window = nullptr;  // of kPut
  std::size_t offset = 0;
  BytesView input{};
  std::uint64_t times = 1;  // of kWait
};

// The one-sided part of a communicator. One thread at a time: the one that the endpoints belong to.
class OneSided {
 public:
  static constexpr int kSignals = 16, kContexts = 4;

  OneSided(Rank self, Rank ranks, Memory& memory, std::span<Endpoint* const> endpoints);
  // Where all ranks have ended in order nobody signals any more; else the counters stay for those who do.
  ~OneSided();
  OneSided(const OneSided&) = delete;
  OneSided& operator=(const OneSided&) = delete;
  void abandon() noexcept { own_signals_ = nullptr; }

  // Collective over the session (null: one rank). Null where some rank cannot reach another's; that is no
  // error. `turn` is held while endpoints are used.
  Result<std::unique_ptr<Window>> show(Session* session, void* buffer, std::size_t bytes, std::mutex& turn);
  // Whether a window was ever shown: signals have a place.
  bool ready() const noexcept { return !signals_.empty(); }

  // Does a part of a call; true when it is over. `progress` tells whether anything happened. Repeat with the
  // same `done`, 0 at first.
  Result<bool> advance(const OneSidedCall& call, std::size_t& done, bool& progress);

 private:
  using Counter = std::uint64_t;
  static constexpr std::size_t kCounters = std::size_t{kSignals} * kContexts;  // from one rank

  std::size_t bytes_of_signals() const;
  bool prepare();
  static Result<bool> everybody(Session* session, bool good);
  Result<bool> reach(Session& session, BytesView mine, std::vector<Descriptor>& theirs, bool must_map,
                     std::mutex& turn);
  std::byte* mapped(Rank peer, const Descriptor& memory, std::byte* own) const;
  Status put(const OneSidedCall& call, std::size_t offset, BytesView piece);
  static std::size_t index_of(const OneSidedCall& call);

  const Rank self_, ranks_;
  Memory& memory_;
  std::span<Endpoint* const> endpoints_;
  std::byte* own_signals_ = nullptr;  // a table of counters for each rank: who has signalled how often
  std::vector<Descriptor> signals_;   // everybody's
  std::vector<Counter> waited_;       // as own_signals_: how many were waited for
};

}  // namespace hansa
