// PMI-1 and PMI-2 over the socket whose number is in PMI_FD: how MPICH's and Intel's mpiexec and Slurm's
// --mpi=pmi2 serve the processes they start.
#pragma once

#include <optional>

#include "bootstrap/launchers/key_value.hpp"
#include "bootstrap/launchers/pmi_text.hpp"

namespace hansa::bootstrap {

// Both say hello to the process manager, for which this blocks, and goodbye when destroyed; a process can do
// this once. A forked child's copy says nothing. Ended without goodbye, a process counts as crashed.
Result<std::unique_ptr<KeyValueSpace>> open_pmi1(const Lookup& lookup);
Result<std::unique_ptr<KeyValueSpace>> open_pmi2(const Lookup& lookup);

// What both share: a copy of the socket, and the rule that after an error nothing is said any more.
class PmiSocket {
 public:
  // kUnsupported where PMI_FD names no socket of this process.
  static Result<PmiSocket> of_environment(const Lookup& lookup);
  explicit PmiSocket(Stream stream) : stream_(std::move(stream)) {}

  // A line of PMI-1, which PMI-2 begins with, too. Errors tell what was asked for, never with which value.
  Result<PmiAnswer> ask_line(const std::string& line, std::string_view expected, Deadline deadline);
  Result<PmiAnswer> ask_message(const std::string& body, std::string_view expected, Deadline deadline);
  bool usable() const noexcept { return !broken_ && owner_ == process_generation_now(); }

 private:
  static std::uint64_t process_generation_now() noexcept;
  Result<PmiAnswer> check(std::optional<PmiAnswer> answer, std::string_view expected);
  Status fail(const Status& why, std::string_view expected);
  Result<std::string> receive_message(Deadline deadline);

  Stream stream_;
  std::uint64_t owner_ = process_generation_now();
  bool broken_ = false;
};

// How long a process manager may take for what needs no other rank.
Deadline answer_deadline();
Deadline goodbye_deadline();

}  // namespace hansa::bootstrap
