// N ranks in one thread, each with a transport, all connected; and a serial oracle for what collectives must
// give. Because one thread drives all, a run over delaying transports is repeated exactly by its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "executor/execution.hpp"
#include "hansa/algorithm.hpp"
#include "hansa/transport.hpp"

namespace hansa::test {

class Cluster {
 public:
  using Open = std::function<Result<std::unique_ptr<Transport>>(const TransportOptions&)>;
  Cluster(Rank ranks, const Open& open, std::uint16_t lanes = 4);
  ~Cluster();

  Rank ranks() const { return static_cast<Rank>(transports_.size()); }
  std::span<Endpoint* const> endpoints(Rank rank) const { return endpoints_[static_cast<std::size_t>(rank)]; }
  std::size_t message_bytes() const;
  std::function<bool()> poll(Rank rank);

  // Drives one execution a rank, in a changing order, until all are done. False if it takes absurdly long.
  bool run(std::vector<std::unique_ptr<Execution>>& executions, std::uint64_t seed);

 private:
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::vector<std::unique_ptr<Endpoint>>> owned_;
  std::vector<std::vector<Endpoint*>> endpoints_;
};

// One call of one algorithm on int32 sums, for all ranks, with buffers guarded against stray writes.
class Exercise {
 public:
  // `elements`: of the vector, or of one rank's share where the collective has shares.
  Exercise(const Query& query, std::size_t elements, bool in_place);

  Call call(Rank rank, const Plan& plan, std::size_t message_bytes) const;
  // Empty if every rank's output is right and every guard is whole, else what is wrong.
  std::string judge() const;

 private:
  std::size_t input_elements(Rank rank) const;
  std::size_t output_elements(Rank rank) const;
  std::int32_t expected(Rank rank, std::size_t i) const;
  BlockMap map(Rank rank, std::uint32_t blocks) const;
  // Where the input starts in the output's buffer, in place; negative: the output starts in the input's.
  std::ptrdiff_t offset(Rank rank) const;
  std::size_t input_start(Rank rank) const;
  std::size_t output_start(Rank rank) const;

  Query query_;
  std::size_t elements_;
  bool in_place_;
  std::vector<std::vector<std::int32_t>> inputs_, outputs_;  // by rank; in place: outputs_ only
};

}  // namespace hansa::test
