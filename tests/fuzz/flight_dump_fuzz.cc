// Any bytes as a dump: taken or refused; what was taken can be judged and drawn.
#include "tools/diagnosis/job.cc"
#include "tools/diagnosis/timeline.cc"
#include "tools/diagnosis/verdict.cc"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa::diagnosis;
  const auto rank = parse_dump({reinterpret_cast<const char*>(data), size});
  if (!rank.ok()) return 0;
  Job job{{rank.value(), rank.value()}};
  job.ranks[1].host += "2";
  for (Membership& one : job.ranks[1].memberships) one.rank = one.ranks - 1;
  for (const Finding& finding : judge(job))
    if (finding.text.empty()) abort();
  if (clock_shifts(job).size() != 2 || trace_of(job).empty()) abort();
  return 0;
}
