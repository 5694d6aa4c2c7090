// The same buffers through MPICH and through Hansa in one run: the results are equal bit for bit, for every
// collective, type and operator that both know.
//
//   mpiexec -n N mpich_test
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "../case.hpp"
#include "hansa/hansa.h"

namespace hansa::test {
namespace {

struct Pair {
  ncclDataType_t ours;
  MPI_Datatype theirs;
};

const Pair kPairs[] = {{ncclInt8, MPI_INT8_T},     {ncclUint8, MPI_UINT8_T}, {ncclInt32, MPI_INT32_T},
                       {ncclUint32, MPI_UINT32_T}, {ncclInt64, MPI_INT64_T}, {ncclUint64, MPI_UINT64_T},
                       {ncclFloat, MPI_FLOAT},     {ncclDouble, MPI_DOUBLE}};

constexpr Op kOps[] = {Op::kSum, Op::kProd, Op::kMax, Op::kMin};

MPI_Op operator_of(Op op) {
  switch (op) {
    case Op::kProd:
      return MPI_PROD;
    case Op::kMax:
      return MPI_MAX;
    case Op::kMin:
      return MPI_MIN;
    default:
      return MPI_SUM;
  }
}

std::vector<int> as_ints(const std::vector<std::size_t>& values) { return {values.begin(), values.end()}; }

// The case as MPI says it.
int call_mpi(const Side& side, MPI_Datatype type, const void* in, void* out) {
  const int count = static_cast<int>(side.what.count), root = side.what.root;
  const MPI_Op op = operator_of(side.what.op);
  const MPI_Comm world = MPI_COMM_WORLD;
  const auto send_counts = as_ints(side.send_counts), send_at = as_ints(side.send_offsets);
  const auto receive_counts = as_ints(side.receive_counts), receive_at = as_ints(side.receive_offsets);
  switch (side.what.kind) {
    case Kind::kAllReduce:
      return MPI_Allreduce(in, out, count, type, op, world);
    case Kind::kReduce:
      return MPI_Reduce(in, out, count, type, op, root, world);
    case Kind::kReduceScatter:
      return MPI_Reduce_scatter_block(in, out, count, type, op, world);
    case Kind::kReduceScatterV:
      return MPI_Reduce_scatter(in, out, receive_counts.data(), type, op, world);
    case Kind::kBroadcast:
      if (side.rank == root) std::memcpy(out, in, side.input * type_of(side.what.type).size);
      return MPI_Bcast(out, count, type, root, world);
    case Kind::kAllGather:
      return MPI_Allgather(in, count, type, out, count, type, world);
    case Kind::kAllGatherV:
      return MPI_Allgatherv(in, static_cast<int>(side.input), type, out, receive_counts.data(),
                            receive_at.data(), type, world);
    case Kind::kAllToAll:
      return MPI_Alltoall(in, count, type, out, count, type, world);
    case Kind::kAllToAllV:
      return MPI_Alltoallv(in, send_counts.data(), send_at.data(), type, out, receive_counts.data(),
                           receive_at.data(), type, world);
    case Kind::kGather:
      return MPI_Gather(in, count, type, out, count, type, root, world);
    case Kind::kScatter:
      return MPI_Scatter(in, count, type, out, count, type, root, world);
  }
  return MPI_ERR_OTHER;
}

bool agree(const Case& what, const Pair& type, const Place& place, ncclComm_t comm) {
  const Side side(what, place);
  const std::size_t size = type_of(type.ours).size;
  // Never empty, so that data() is never null: MPI wants buffers where it does not use them.
  std::vector<std::byte> in((side.input + 1) * size), ours((side.output + 1) * size),
      theirs((side.output + 1) * size);
  for (std::size_t i = 0; i < side.input; ++i)
    write_input(type_of(type.ours), what.op, place.rank, place.ranks, i, in.data() + i * size);
  // MPICH 4.0 compares unsigned numbers as signed ones (its maximum of 100 and 200 as MPI_UINT8_T is 100), so
  // these stay below the sign bit here; collectives_test has them whole, against its own oracle.
  const bool is_unsigned = type.ours == ncclUint8 || type.ours == ncclUint32 || type.ours == ncclUint64;
  if (is_unsigned && (what.op == Op::kMax || what.op == Op::kMin))
    for (std::size_t i = 1; i <= side.input; ++i) in[i * size - 1] &= std::byte{0x7f};
  require(side.call(in.data(), ours.data(), builtin(what.op), comm, nullptr), place, name_of(what.kind));
  if (call_mpi(side, type.theirs, in.data(), theirs.data()) != MPI_SUCCESS) MPI_Abort(MPI_COMM_WORLD, 1);
  if (ours == theirs) return true;
  const auto at = std::mismatch(ours.begin(), ours.end(), theirs.begin()).first - ours.begin();
  std::fprintf(stderr, "rank %d of %d: %s %s %s count %zu root %d: byte %td differs from MPI's\n", place.rank,
               place.ranks, name_of(what.kind), type_of(type.ours).name, name_of(what.op), what.count,
               what.root, at);
  return false;
}

// MPICH spins while it waits, so where ranks outnumber cores each combination runs at one size, which moves
// on.
bool run_all(const Place& place, ncclComm_t comm) {
  const auto n = static_cast<std::size_t>(place.ranks);
  const std::vector<std::size_t> sizes = {0, 1, n - 1, n, n + 1, 13, 1009, 20011};
  const std::size_t each = place.ranks <= 2 ? sizes.size() : 1;
  std::size_t next = 0;
  bool right = true;
  const auto at_sizes = [&](Kind kind, const Pair& type, Op op) {
    for (std::size_t i = 0; i < each; ++i, ++next)
      right = agree({kind, type.ours, op, sizes[next % sizes.size()], static_cast<int>(next % n), false},
                    type, place, comm) &&
              right;
  };
  for (const Pair& type : kPairs) {
    for (const Kind kind : kReducing)
      for (const Op op : kOps) at_sizes(kind, type, op);
    for (const Kind kind : kMoving) at_sizes(kind, type, Op::kMove);
  }
  return right;
}

}  // namespace
}  // namespace hansa::test

int main(int argc, char** argv) {
  using namespace hansa::test;
  MPI_Init(&argc, &argv);
  Place place;
  MPI_Comm_rank(MPI_COMM_WORLD, &place.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &place.ranks);
  ncclUniqueId id;
  if (place.rank == 0) require(ncclGetUniqueId(&id), place, "ncclGetUniqueId");
  MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD);
  place.ids = {&id, 1};
  int right = 0;
  {
    const Communicator comm = join(place);
    right = run_all(place, comm.get());
  }
  MPI_Finalize();
  return right ? 0 : 1;
}
