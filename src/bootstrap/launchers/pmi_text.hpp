// The words of PMI-1 and PMI-2 as a process manager says them on PMI_FD. Pure functions over text.
//
// Sources: the message lists of MPICH (src/pmi/maint/pmi-1.1.txt, pmi-2.0.txt) and what its mpiexec and
// Slurm's mpi/pmi2 answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa::bootstrap {

struct PmiAnswer {
  std::string command;
  std::map<std::string, std::string, std::less<>> fields;  // without the command; the first of equal names

  // Empty where there is none.
  std::string_view field(std::string_view name) const;
  // "rc" is 0 or absent.
  bool succeeded() const;
};

// "cmd=NAME key=value ...", without its line feed.
std::optional<PmiAnswer> parse_pmi1(std::string_view line);
// "cmd=NAME;key=value;...;", without its length. A doubled semicolon in a value stands for one.
std::optional<PmiAnswer> parse_pmi2(std::string_view body);

// Before every PMI-2 message: its length in 6 characters, filled up with blanks on either side.
inline constexpr std::size_t kPmi2LengthBytes = 6, kMostPmi2Bytes = 1 << 16;
std::optional<std::size_t> parse_pmi2_length(std::string_view digits);
std::string with_pmi2_length(std::string_view body);

// A decimal number without sign that fills the whole text.
std::optional<std::int32_t> number_in(std::string_view text);

// Where a rank stands among the ranks of its host, by the value of PMI_process_mapping: "(vector,(first host,
// hosts, ranks on each),...)", started over until all ranks have a host.
struct LocalPlace {
  int rank = 0, ranks = 1;
};
std::optional<LocalPlace> find_local_place(std::string_view mapping, Rank rank, Rank ranks);

// What a process manager that says no means, in either version.
Status refused_to_put(const std::string& key);
Status gave_up(const char* what);
Status put_nothing_as(const std::string& key);

}  // namespace hansa::bootstrap
