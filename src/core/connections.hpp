// The transports of one communicator and one endpoint to every peer.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hansa/bootstrap.hpp"
#include "hansa/status.hpp"
#include "hansa/transport.hpp"

namespace hansa {

// What a rank tells the others: its address over each transport of the table, empty where it has none. Bytes
// that encode_addresses() would not have made for so many rows are kInvalidUsage.
std::vector<std::byte> encode_addresses(const std::vector<std::vector<std::byte>>& rows);
Result<std::vector<std::vector<std::byte>>> parse_addresses(BytesView bytes, std::size_t rows);

class Connections {
 public:
  // Collective over the session. Opens every transport that works here (or only `forced`, comma-separated
  // names), exchanges addresses, and connects each pair over the first transport of the table that reaches
  // both ways. Fails on all ranks alike, with the names of a pair that cannot reach each other and each
  // transport's reason.
  static Result<Connections> open(Session& session, const TransportOptions& options, std::string_view forced);

  // By rank; null for this rank itself.
  std::span<Endpoint* const> endpoints() const { return endpoints_; }
  // Moves all transports on; true if anything happened.
  bool poll() noexcept;
  // Whether nothing waits for a poll().
  bool idle() const noexcept;
  // The first failure of a transport.
  Status status() const;
  // "shm to 3 ranks, libfabric to 4": for the one INFO line.
  std::string summary() const;
  // Ends all traffic; afterwards nothing of ours is touched by a peer.
  void quiesce() noexcept;

 private:
  struct Opened {
    std::unique_ptr<Transport> transport;
    Status failure;  // why there is none
  };

  Status exchange_addresses(Session& session);
  Status agree(Session& session);
  Status connect_from(Rank peer, std::size_t first);

  std::vector<Opened> opened_;                                // by row of the table
  std::vector<std::vector<std::vector<std::byte>>> address_;  // by rank, by row
  std::vector<std::uint8_t> choice_;                          // by rank: row in use
  std::vector<std::string> refusals_;                         // by rank: why rows were passed over
  std::vector<std::unique_ptr<Endpoint>> owned_;
  std::vector<Endpoint*> endpoints_;
  Rank self_ = 0;
};

}  // namespace hansa
