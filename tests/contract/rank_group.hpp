// Ranks for tests of transports: threads of this process, or processes of their own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "hansa/memory.hpp"
#include "hansa/transport.hpp"

namespace hansa::test {

enum class RunAs { kThreads, kProcesses };

using OpenTransport = std::function<Result<std::unique_ptr<Transport>>(const TransportOptions&)>;
using OpenMemory = std::function<std::unique_ptr<Memory>()>;

struct GroupOptions {
  RunAs as = RunAs::kThreads;
  Rank ranks = 2;
  std::uint16_t lanes = 1;
  OpenTransport open;
  OpenMemory memory;  // may be empty; one object for each process
};

struct Board;

// One rank inside a body: its transport, and a connected way to every rank, itself included.
class TestRank {
 public:
  TestRank(Board& board, Rank rank, const GroupOptions& options, Memory* memory)
      : board_(board), rank_(rank), options_(options), memory_(memory) {}

  Rank rank() const { return rank_; }
  Rank ranks() const { return options_.ranks; }
  std::uint16_t lanes() const { return options_.lanes; }
  Memory* memory() const { return memory_; }
  Transport& transport() { return *transport_; }
  Endpoint& to(Rank peer) { return *peers_[static_cast<std::size_t>(peer)]; }
  const Capabilities& capabilities() { return transport_->capabilities(); }

  // Polls until `ready` says true. False, with a test failure, when it takes absurdly long or when
  // another rank has failed.
  bool wait(const std::function<bool()>& ready);
  // Called inside `ready`: something has happened, so that waiting starts anew.
  void progressed() { stalled_ = false; }
  // Keeps polling while nothing is expected to happen.
  void poll_for(std::chrono::milliseconds time);
  // Waits, polling, until all ranks have come here.
  bool barrier();
  // The same without polling, as a rank that computes.
  bool rest();
  // A second transport of the same ranks, another communicator, polled as long as it lives whenever this one
  // is. Collective.
  std::shared_ptr<TestRank> another(std::uint64_t communicator);
  // Gives up the endpoint to one peer, or all endpoints and the transport.
  void drop(Rank peer) { peers_[static_cast<std::size_t>(peer)].reset(); }
  void drop_all();

  // Opens, exchanges addresses, connects. Collective.
  bool connect(std::uint64_t communicator);

 private:
  void poll();
  // False, with a test failure, if all of it takes too long or another rank has failed.
  bool patient(std::chrono::steady_clock::time_point& deadline);
  std::uint32_t arrive();

  Board& board_;
  Rank rank_;
  const GroupOptions& options_;
  Memory* memory_;
  std::unique_ptr<Transport> transport_;
  std::vector<std::unique_ptr<Endpoint>> peers_;
  std::weak_ptr<TestRank> another_;
  bool stalled_ = false;  // since the last look at the clock
};

// Runs `body` once per rank. Failures inside, in whatever process, fail the calling test.
void run_ranks(const GroupOptions& options, const std::function<void(TestRank&)>& body);

}  // namespace hansa::test
