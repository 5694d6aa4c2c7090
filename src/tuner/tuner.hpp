// Which algorithm runs a call. Uses only facts that all ranks share, so that all choose alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hansa/algorithm.hpp"
#include "hansa/status.hpp"

namespace hansa {

// How a large message reaches its peer.
enum class Reached : std::uint8_t {
  kBySlots,
  kInMemory,  // every rank reaches every other's memory
  kInDepots   // and reads what the other has left for all to map
};

// kInvalidUsage where a wish names no algorithm that there is, or no collective.
Status check_wish(std::string_view wish);

// `bytes`: of the whole vector (allreduce, broadcast, reduce), of the gathered or scattered whole, or of what
// one rank sends (alltoall); 0 where ranks cannot know it alike (alltoallv).
// Where query.levels tells of several hosts, rows that keep bytes off their links come first.
// `wish`: HANSA_ALGORITHM, "ring" or "allreduce:ring,allgather:direct", where "ring|direct" is the better of
// the two and "^ring|direct" any other; a wish that does not serve the collective at this rank count is
// passed over. kUnsupported if nothing serves it.
Result<const Algorithm*> choose(const Query& query, std::size_t bytes, Reached reached,
                                std::string_view wish);

}  // namespace hansa
