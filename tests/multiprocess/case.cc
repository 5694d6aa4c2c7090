#include "case.hpp"

#include "hansa/hansa.h"

namespace hansa::test {
namespace {

std::size_t as_size(int value) { return static_cast<std::size_t>(value); }

// What rank `from` sends to rank `to` in alltoallv, and (with itself) what it brings to the others: some
// nothing, some more than others.
constexpr std::size_t kGap = 1;  // between blocks where displacements say so

std::size_t uneven(std::size_t count, int from, int to) {
  return count * as_size((from + 2 * to) % 3) + as_size(from % 2);
}

}  // namespace

const char* name_of(Kind kind) {
  constexpr const char* kNames[] = {"AllReduce", "Reduce",    "ReduceScatter", "ReduceScatterV",
                                    "Broadcast", "AllGather", "AllGatherV",    "AlltoAll",
                                    "AllToAllV", "Gather",    "Scatter"};
  return kNames[static_cast<int>(kind)];
}

Side::Side(const Case& w, const Place& place) : what(w), rank(place.rank), ranks(place.ranks) {
  if (what.kind == Kind::kReduceScatterV || what.kind == Kind::kAllGatherV || what.kind == Kind::kAllToAllV)
    lay_out_uneven();
  else
    lay_out();
}

void Side::lay_out() {
  const std::size_t all = what.count * as_size(ranks);
  const bool root = rank == what.root;
  const auto block = [&](int r) { return static_cast<std::ptrdiff_t>(what.count * as_size(r)); };
  input = output = what.count;
  switch (what.kind) {
    case Kind::kAllReduce:
      break;
    case Kind::kReduce:
      output = root || what.in_place ? what.count : 0;
      break;
    case Kind::kBroadcast:
      input = root || what.in_place ? what.count : 0;
      break;
    case Kind::kReduceScatter:
      input = all, input_from_output = -block(rank);
      break;
    case Kind::kAllGather:
      output = all, input_from_output = block(rank);
      break;
    case Kind::kGather:
      output = root ? all : 0, input_from_output = root ? block(rank) : 0;
      break;
    case Kind::kScatter:
      input = root ? all : 0, input_from_output = root ? -block(rank) : 0;
      break;
    default:
      input = output = all;
      break;  // alltoall
  }
}

void Side::lay_out_uneven() {
  std::size_t sent = 0, received = 0;
  for (int peer = 0; peer < ranks; ++peer) {
    const bool exchange = what.kind == Kind::kAllToAllV;
    send_counts.push_back(exchange ? uneven(what.count, rank, peer) : uneven(what.count, peer, peer));
    receive_counts.push_back(exchange ? uneven(what.count, peer, rank) : send_counts.back());
    send_offsets.push_back(sent);
    receive_offsets.push_back(received);
    sent += send_counts.back() + (exchange ? kGap : 0);
    received += receive_counts.back() + kGap;
    std::size_t before = 0;
    for (int to = 0; exchange && to < rank; ++to) before += uneven(what.count, peer, to) + kGap;
    offsets_at_peers_.push_back(before);
  }
  const std::size_t self = as_size(rank);
  input = sent, output = received;
  if (what.kind == Kind::kAllGatherV) {
    input = send_counts[self];
    input_from_output = static_cast<std::ptrdiff_t>(receive_offsets[self]);
  } else if (what.kind == Kind::kReduceScatterV) {
    output = receive_counts[self];
    input_from_output = -static_cast<std::ptrdiff_t>(send_offsets[self]);
  }
}

Origin Side::origin(std::size_t i) const {
  using From = Origin::From;
  const std::size_t self = as_size(rank);
  const Origin nowhere;
  switch (what.kind) {
    case Kind::kAllReduce:
      return {From::kReduction, 0, i};
    case Kind::kReduce:
      return rank == what.root ? Origin{From::kReduction, 0, i} : nowhere;
    case Kind::kReduceScatter:
      return {From::kReduction, 0, self * what.count + i};
    case Kind::kReduceScatterV:
      return {From::kReduction, 0, send_offsets[self] + i};
    case Kind::kBroadcast:
      return {From::kRank, what.root, i};
    case Kind::kScatter:
      return {From::kRank, what.root, self * what.count + i};
    case Kind::kAllGather:
    case Kind::kGather:
      return {From::kRank, static_cast<int>(i / what.count), i % what.count};
    case Kind::kAllToAll:
      return {From::kRank, static_cast<int>(i / what.count), self * what.count + i % what.count};
    case Kind::kAllGatherV:
    case Kind::kAllToAllV:
      break;
  }
  int peer = ranks - 1;
  while (receive_offsets[as_size(peer)] > i) --peer;
  const std::size_t within = i - receive_offsets[as_size(peer)];
  if (within >= receive_counts[as_size(peer)]) return nowhere;
  if (what.kind == Kind::kAllGatherV) return {From::kRank, peer, within};
  return {From::kRank, peer, offsets_at_peers_[as_size(peer)] + within};
}

ncclResult_t Side::call(const void* in, void* out, ncclRedOp_t op, ncclComm_t comm,
                        cudaStream_t stream) const {
  const auto [kind, type, ignored, count, root, in_place, salt] = what;
  switch (kind) {
    case Kind::kAllReduce:
      return ncclAllReduce(in, out, count, type, op, comm, stream);
    case Kind::kReduce:
      return ncclReduce(in, out, count, type, op, root, comm, stream);
    case Kind::kReduceScatter:
      return ncclReduceScatter(in, out, count, type, op, comm, stream);
    case Kind::kReduceScatterV:
      return hansaReduceScatterV(in, out, receive_counts.data(), type, op, comm, stream);
    case Kind::kBroadcast:
      return in_place ? ncclBcast(out, count, type, root, comm, stream)
                      : ncclBroadcast(in, out, count, type, root, comm, stream);
    case Kind::kAllGather:
      return ncclAllGather(in, out, count, type, comm, stream);
    case Kind::kAllGatherV:
      return hansaAllGatherV(in, input, out, receive_counts.data(), receive_offsets.data(), type, comm,
                             stream);
    case Kind::kAllToAll:
      return ncclAlltoAll(in, out, count, type, comm, stream);
    case Kind::kAllToAllV:
      return hansaAllToAllV(in, send_counts.data(), send_offsets.data(), out, receive_counts.data(),
                            receive_offsets.data(), type, comm, stream);
    case Kind::kGather:
      return ncclGather(in, out, count, type, root, comm, stream);
    case Kind::kScatter:
      return ncclScatter(in, out, count, type, root, comm, stream);
  }
  return ncclInternalError;
}

}  // namespace hansa::test
