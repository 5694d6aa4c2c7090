// The transports of one communicator and one endpoint to every peer.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/hosts.hpp"
#include "hansa/bootstrap.hpp"
#include "hansa/status.hpp"
#include "hansa/transport.hpp"

namespace hansa {

class Connections {
 public:
  // Collective over the session. Goes through the table of transports until every pair is connected: all
  // ranks open one (only those that `forced` names, if it names any), exchange addresses, connect to the
  // peers that are still out of reach, and keep what works both ways. What nobody needs is not even opened.
  // Fails on all ranks alike, with the names of a pair that cannot reach each other and each transport's
  // reason. The wish's `names` are filled in.
  static Result<Connections> open(Session& session, const TransportOptions& wish, std::string_view forced);

  // A label for each rank's host, the same on all ranks; see hosts.hpp.
  std::vector<std::uint32_t> hosts() const { return hosts_of(near_); }
  // By rank; null for this rank itself.
  std::span<Endpoint* const> endpoints() const { return endpoints_; }
  // Moves all transports on; true if anything happened.
  bool poll() noexcept;
  // Whether it holds of any transport.
  bool any(bool Capabilities::*trait) const noexcept;
  // Whether nothing waits for a poll().
  bool idle() const noexcept {
    for (const Transport* transport : used_)
      if (!transport->idle()) return false;
    return true;
  }
  // The first failure of a transport.
  Status status() const;
  // "shm to 3 ranks, libfabric to 4": for the one INFO line.
  std::string summary() const;
  // Of the slots that peers send into.
  std::size_t memory_bytes() const;
  // Ends all traffic; afterwards nothing of ours is touched by a peer.
  void quiesce() noexcept;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};

  // Tries one transport with all peers that have none yet. True when no pair of ranks is left without.
  Result<bool> try_row(Session& session, std::size_t row, const TransportOptions& options,
                       std::string_view forced);
  Status connect_over(Rank peer, std::size_t row, const Status& opened, BytesView address);
  Result<bool> keep_what_works(Session& session, std::size_t row);

  std::vector<std::unique_ptr<Transport>> transports_;  // by row of the table; null where not in use
  std::vector<Transport*> used_;                        // those that are not null
  std::vector<std::size_t> row_of_;                     // by rank: of the transport in use, or kNone
  std::vector<std::string> refusals_;                   // by rank: why rows were passed over
  std::vector<std::vector<bool>> near_;                 // who reaches whom within a host
  std::vector<std::unique_ptr<Endpoint>> owned_;
  std::vector<Endpoint*> endpoints_;
  std::size_t self_ = 0;
  std::uint16_t lanes_ = 0;
};

}  // namespace hansa
