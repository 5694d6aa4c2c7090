// One call of one collective: how large its buffers are, what goes in, what must come out, and the call
// itself.
#pragma once

#include <cstddef>
#include <vector>

#include "nccl.h"
#include "ranks.hpp"
#include "values.hpp"

namespace hansa::test {

enum class Kind {
  kAllReduce,
  kReduce,
  kReduceScatter,
  kReduceScatterV,  // these combine
  kBroadcast,
  kAllGather,
  kAllGatherV,
  kAllToAll,
  kAllToAllV,
  kGather,
  kScatter,
};
inline constexpr Kind kReducing[] = {Kind::kAllReduce, Kind::kReduce, Kind::kReduceScatter,
                                     Kind::kReduceScatterV};
inline constexpr Kind kMoving[] = {Kind::kBroadcast, Kind::kAllGather, Kind::kAllGatherV, Kind::kAllToAll,
                                   Kind::kAllToAllV, Kind::kGather,    Kind::kScatter};

const char* name_of(Kind kind);
inline bool can_be_in_place(Kind kind) { return kind != Kind::kAllToAll && kind != Kind::kAllToAllV; }

struct Case {
  Kind kind = Kind::kAllReduce;
  ncclDataType_t type = ncclFloat;
  Op op = Op::kMove;
  std::size_t count = 0;  // as the call takes it; in the v-forms, what the counts are made of
  int root = 0;
  bool in_place = false;
  std::size_t salt = 0;  // other values for every salt
};

// Where an output element comes from.
struct Origin {
  enum class From { kNowhere, kRank, kReduction } from = From::kNowhere;
  int rank = 0;
  std::size_t index = 0;
};

// A rank's side of a case. The tables are empty but in the v-forms; all sizes are in elements.
struct Side {
  Side(const Case& what, const Place& place);

  Case what;
  int rank, ranks;
  std::size_t input = 0, output = 0;     // buffer sizes; input is 0 where only the root sends
  std::ptrdiff_t input_from_output = 0;  // where the input lies in place
  std::vector<std::size_t> send_counts, send_offsets, receive_counts, receive_offsets;

  Origin origin(std::size_t i) const;  // of output element i
  ncclResult_t call(const void* in, void* out, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) const;

 private:
  void lay_out();
  void lay_out_uneven();

  std::vector<std::size_t> offsets_at_peers_;  // of what each sends to this rank, in its input
};

}  // namespace hansa::test
