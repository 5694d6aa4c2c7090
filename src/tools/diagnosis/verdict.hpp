// Who is to blame where a job stands still or has failed: from what each of its ranks did last.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/diagnosis/job.hpp"

namespace hansa::diagnosis {

enum class Verdict : std::uint8_t {
  kFailed,            // a communicator has failed and says why
  kMetadataMismatch,  // ranks called differently
  kDeadlock,          // ranks wait for each other in a circle
  kRankNotJoined,     // of a rank there is no trace, or it is still connecting
  kStuckOutside,      // a rank has not made the call that others wait in
  kStuckInside,       // all have made the call, and it does not end
};

// As others' tools call them: "METADATA_MISMATCH", ...
std::string_view name_of(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::kFailed;
  std::string communicator;  // Membership::number
  std::vector<Rank> ranks;   // of that communicator: the culprits, as far as can be told
  std::string text;          // one line, in plain words
};

// Whether a job is all its ranks, or only those of one machine, so that a rank without trace may be
// elsewhere.
enum class Scope : std::uint8_t { kJob, kMachine };

// What comes first is most likely the cause of what comes after. Empty: nothing is the matter.
std::vector<Finding> judge(const Job& job, Scope scope = Scope::kJob);

}  // namespace hansa::diagnosis
