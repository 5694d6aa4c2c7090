// A request on its way: with tables of its own, and, once it has begun, the execution that runs it.
#pragma once

#include <atomic>
#include <vector>

#include "control/logbook_layout.hpp"
#include "core/one_sided.hpp"
#include "core/request.hpp"
#include "executor/execution.hpp"
#include "hansa/algorithm.hpp"
#include "hansa/status.hpp"

namespace hansa {

class Communicator;
class HostStream;

struct Operation {
  enum class Kind : std::uint8_t { kCollective, kPointToPoint, kOneSided, kHostCall };

  Kind kind = Kind::kCollective;
  Communicator* communicator = nullptr;
  std::vector<HostStream*> streams;  // it runs when it is first in all of them; none: the caller waits
  std::uint64_t batch = 0;           // operations of one group do not wait for each other on a stream
  Request request;
  std::vector<std::size_t> tables;       // copies of the request's, which then point here
  std::vector<PointToPoint> messages;    // of kPointToPoint
  std::vector<OneSidedCall> one_sided;   // of kOneSided
  std::size_t next = 0, bytes_done = 0;  // of those: how far they are
  void (*function)(void*) = nullptr;     // of kHostCall
  void* argument = nullptr;
  bool called = false;

  double limit = -1;  // seconds it may take; 0: forever; negative: as its communicator says
  // Known once it has begun:
  bool begun = false;
  std::uint32_t number = 0;                  // of its class on its communicator, from 1
  std::size_t bytes = 0;                     // of a collective: what the choice of its algorithm goes by
  const Algorithm* algorithm = nullptr;      // of a collective
  const control::LogEntry* entry = nullptr;  // of a collective: how the logbook knows it
  Execution* execution = nullptr;            // of a collective or messages, once begun
  Status result;
  bool done = false;

  // Makes the operation independent of the caller's tables.
  void own_tables(Rank ranks);
};

}  // namespace hansa
