// The programs of nccl-tests, and some of ours: how many elements each moves, the call it times, and what
// must come out of it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "hansa/hansa.h"
#include "nccl.h"
#include "tools/bench/text.hpp"

namespace hansa::bench {

// Who sends how much in alltoallv: the more, the farther away; or as a matrix says.
struct Traffic {
  double spread = 1;  // 0: everybody the same; 1: in proportion to the distance
  std::optional<Matrix> matrix;
  std::size_t bytes(int from, int to, int ranks, std::size_t total) const;
};

// One rank's part in a size. Counts are in elements.
struct Shape {
  int rank = 0, ranks = 1, root = 0;
  std::size_t element = 4;  // bytes
  // As nccl-tests has them: of the send and the receive buffer, and what the call takes.
  std::size_t send = 0, receive = 0, count = 0;
  std::size_t brought = 0;  // of the send buffer, what this rank itself fills
  // Where input and output lie in the one buffer of a call in place.
  std::size_t input_at = 0, output_at = 0;
  // Of uneven ones, by peer.
  std::vector<std::size_t> send_counts, send_offsets, receive_counts, receive_offsets;
  std::vector<std::size_t> sender_offsets;  // where this rank's block begins in that peer's input
  std::size_t busiest = 0;                  // elements of the rank that sends or receives most
};

struct Call {
  const std::byte* input;
  std::byte* output;
  ncclDataType_t type;
  ncclRedOp_t op;
  bool in_place;
  ncclComm_t comm;
};

// A part of a rank's output and what it must hold.
struct Segment {
  enum class From { kReduced, kInput, kUntouched };
  From from;
  int rank;           // whose input
  std::size_t first;  // the first element, there or in the reduction
  std::size_t at;     // the first element in the output
  std::size_t count;
};

struct Program {
  const char* name;
  bool of_nccl_tests;  // or of ours
  bool reduces;        // takes an operator
  const char*
      shown_op;  // in the redop column; null: the operator, which nccl-tests also shows where none is used
  bool rooted;
  bool in_place;      // results in place are defined, so they are checked
  bool power_of_two;  // runs with so many ranks only
  Shape (*shape)(std::size_t bytes, std::size_t element, int rank, int ranks, int root,
                 const Traffic& traffic);
  ncclResult_t (*run)(const Shape& shape, const Call& call);
  std::vector<Segment> (*expected)(const Shape& shape, bool in_place);
  // What algorithm bandwidth counts, in elements, and bus bandwidth over it.
  std::size_t (*moved)(const Shape& shape);
  double (*bus_factor)(double ranks);
  // Whether this rank brings data at all.
  bool (*brings)(const Shape& shape);
};

std::span<const Program> programs();
// By its name, or by its name with _perf or _perf_mpi behind, as nccl-tests' files are called; else null.
const Program* find_program(std::string_view name);

}  // namespace hansa::bench
