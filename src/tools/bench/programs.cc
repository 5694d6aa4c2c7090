#include "tools/bench/programs.hpp"

#include <algorithm>
#include <cstring>

namespace hansa::bench {
namespace {

using std::size_t;
using From = Segment::From;

Shape empty_shape(size_t element, int rank, int ranks, int root) {
  Shape shape;
  shape.rank = rank;
  shape.ranks = ranks;
  shape.root = root;
  shape.element = element;
  return shape;
}

Shape whole(size_t bytes, size_t element, int rank, int ranks, int root, const Traffic&) {
  Shape shape = empty_shape(element, rank, ranks, root);
  shape.send = shape.receive = shape.count = shape.brought = bytes / element;
  return shape;
}

// Every rank's share is a multiple of 16 bytes, so small sizes become nothing: as in nccl-tests.
size_t share(size_t bytes, size_t element, int ranks) {
  return (bytes / element / static_cast<size_t>(ranks)) & ~(16 / element - 1);
}

Shape gathered(size_t bytes, size_t element, int rank, int ranks, int root, const Traffic&) {
  Shape shape = empty_shape(element, rank, ranks, root);
  shape.count = shape.send = shape.brought = share(bytes, element, ranks);
  shape.input_at = static_cast<size_t>(rank) * shape.count;
  shape.receive = shape.send * static_cast<size_t>(ranks);
  return shape;
}

Shape scattered(size_t bytes, size_t element, int rank, int ranks, int root, const Traffic&) {
  Shape shape = empty_shape(element, rank, ranks, root);
  shape.count = shape.receive = share(bytes, element, ranks);
  shape.output_at = static_cast<size_t>(rank) * shape.count;
  shape.send = shape.brought = shape.receive * static_cast<size_t>(ranks);
  return shape;
}

Shape exchanged(size_t bytes, size_t element, int rank, int ranks, int root, const Traffic&) {
  Shape shape = empty_shape(element, rank, ranks, root);
  shape.count = share(bytes, element, ranks);
  shape.send = shape.receive = shape.brought = shape.count * static_cast<size_t>(ranks);
  return shape;
}

Shape exchanged_unevenly(size_t bytes, size_t element, int rank, int ranks, int root,
                         const Traffic& traffic) {
  Shape shape = empty_shape(element, rank, ranks, root);
  if (!traffic.matrix) shape.count = share(bytes, element, ranks);
  const size_t total = shape.count * static_cast<size_t>(ranks) * element;
  for (int r = 0; r < ranks; ++r) {
    size_t out = 0, in = 0;
    for (int peer = 0; peer < ranks; ++peer) {
      if (peer == rank) shape.sender_offsets.push_back(out);
      out += traffic.bytes(r, peer, ranks, total) / element;
      in += traffic.bytes(peer, r, ranks, total) / element;
    }
    shape.send = std::max(shape.send, out);
    shape.receive = std::max(shape.receive, in);
  }
  shape.busiest = std::max(shape.send, shape.receive);
  size_t out = 0, in = 0;
  for (int peer = 0; peer < ranks; ++peer) {
    shape.send_counts.push_back(traffic.bytes(rank, peer, ranks, total) / element);
    shape.receive_counts.push_back(traffic.bytes(peer, rank, ranks, total) / element);
    shape.send_offsets.push_back(out);
    shape.receive_offsets.push_back(in);
    out += shape.send_counts.back();
    in += shape.receive_counts.back();
  }
  shape.brought = out;
  return shape;
}

// Shares of 0, 1, 2, 0, 1, 2, ... parts, which are no more than an even share for everybody.
Shape uneven_shares(size_t bytes, size_t element, int rank, int ranks, int root) {
  Shape shape = empty_shape(element, rank, ranks, root);
  size_t at = 0;
  for (int r = 0; r < ranks; ++r) {
    shape.receive_counts.push_back(share(bytes, element, ranks) * static_cast<size_t>(r % 3));
    shape.receive_offsets.push_back(at);
    at += shape.receive_counts.back();
  }
  shape.busiest = at;
  shape.count = shape.receive_counts[static_cast<size_t>(rank)];
  return shape;
}

Shape gathered_unevenly(size_t bytes, size_t element, int rank, int ranks, int root, const Traffic&) {
  Shape shape = uneven_shares(bytes, element, rank, ranks, root);
  shape.send = std::ranges::max(shape.receive_counts);
  shape.receive = shape.busiest;
  shape.brought = shape.count;
  shape.input_at = shape.receive_offsets[static_cast<size_t>(rank)];
  return shape;
}

Shape scattered_unevenly(size_t bytes, size_t element, int rank, int ranks, int root, const Traffic&) {
  Shape shape = uneven_shares(bytes, element, rank, ranks, root);
  shape.send = shape.brought = shape.busiest;
  shape.receive = std::ranges::max(shape.receive_counts);
  shape.output_at = shape.receive_offsets[static_cast<size_t>(rank)];
  return shape;
}

Shape nothing(size_t, size_t element, int rank, int ranks, int root, const Traffic&) {
  return empty_shape(element, rank, ranks, root);
}

// Where peer's block begins in a buffer of one block a rank.
size_t block(const Shape& shape, int peer) { return static_cast<size_t>(peer) * shape.count; }

std::vector<Segment> all_reduced(const Shape& shape, bool) {
  return {{From::kReduced, 0, 0, 0, shape.receive}};
}
std::vector<Segment> own_share_reduced(const Shape& shape, bool) {
  return {{From::kReduced, 0, block(shape, shape.rank), 0, shape.receive}};
}
std::vector<Segment> of_root(const Shape& shape, bool) {
  return {{From::kInput, shape.root, 0, 0, shape.receive}};
}
std::vector<Segment> own_share_of_root(const Shape& shape, bool) {
  return {{From::kInput, shape.root, block(shape, shape.rank), 0, shape.receive}};
}
std::vector<Segment> of_left_neighbour(const Shape& shape, bool) {
  return {{From::kInput, (shape.rank + shape.ranks - 1) % shape.ranks, 0, 0, shape.receive}};
}

std::vector<Segment> of_everybody(const Shape& shape, bool) {
  std::vector<Segment> segments;
  for (int r = 0; r < shape.ranks; ++r)
    segments.push_back({From::kInput, r, 0, block(shape, r), shape.count});
  return segments;
}

std::vector<Segment> own_share_of_everybody(const Shape& shape, bool) {
  std::vector<Segment> segments;
  for (int r = 0; r < shape.ranks; ++r)
    segments.push_back({From::kInput, r, block(shape, shape.rank), block(shape, r), shape.count});
  return segments;
}

std::vector<Segment> at_root_reduced(const Shape& shape, bool in_place) {
  if (shape.rank == shape.root) return all_reduced(shape, in_place);
  return {{in_place ? From::kInput : From::kUntouched, shape.rank, 0, 0, shape.receive}};
}

std::vector<Segment> at_root_of_everybody(const Shape& shape, bool in_place) {
  if (shape.rank == shape.root) return of_everybody(shape, in_place);
  if (!in_place) return {{From::kUntouched, 0, 0, 0, shape.receive}};
  const size_t own = block(shape, shape.rank), after = own + shape.count;
  return {{From::kUntouched, 0, 0, 0, own},
          {From::kInput, shape.rank, 0, own, shape.count},
          {From::kUntouched, 0, 0, after, shape.receive - after}};
}

std::vector<Segment> uneven_of_everybody(const Shape& shape, bool) {
  std::vector<Segment> segments;
  size_t end = 0;
  for (int r = 0; r < shape.ranks; ++r) {
    const auto peer = static_cast<size_t>(r);
    segments.push_back({From::kInput, r, shape.sender_offsets[peer], shape.receive_offsets[peer],
                        shape.receive_counts[peer]});
    end = shape.receive_offsets[peer] + shape.receive_counts[peer];
  }
  segments.push_back({From::kUntouched, 0, 0, end, shape.receive - end});
  return segments;
}

std::vector<Segment> uneven_share_of_everybody(const Shape& shape, bool) {
  std::vector<Segment> segments;
  for (int r = 0; r < shape.ranks; ++r) {
    const auto peer = static_cast<size_t>(r);
    segments.push_back({From::kInput, r, 0, shape.receive_offsets[peer], shape.receive_counts[peer]});
  }
  return segments;
}

std::vector<Segment> uneven_share_reduced(const Shape& shape, bool) {
  return {{From::kReduced, 0, shape.receive_offsets[static_cast<size_t>(shape.rank)], 0, shape.count}};
}

std::vector<Segment> no_data(const Shape&, bool) { return {}; }

ncclResult_t run_all_reduce(const Shape& shape, const Call& call) {
  return ncclAllReduce(call.input, call.output, shape.count, call.type, call.op, call.comm, nullptr);
}
ncclResult_t run_all_gather(const Shape& shape, const Call& call) {
  return ncclAllGather(call.input, call.output, shape.count, call.type, call.comm, nullptr);
}
ncclResult_t run_broadcast(const Shape& shape, const Call& call) {
  return ncclBroadcast(call.input, call.output, shape.count, call.type, shape.root, call.comm, nullptr);
}
ncclResult_t run_reduce_scatter(const Shape& shape, const Call& call) {
  return ncclReduceScatter(call.input, call.output, shape.count, call.type, call.op, call.comm, nullptr);
}
ncclResult_t run_reduce(const Shape& shape, const Call& call) {
  return ncclReduce(call.input, call.output, shape.count, call.type, call.op, shape.root, call.comm, nullptr);
}
ncclResult_t run_gather(const Shape& shape, const Call& call) {
  return ncclGather(call.input, call.output, shape.count, call.type, shape.root, call.comm, nullptr);
}
ncclResult_t run_scatter(const Shape& shape, const Call& call) {
  return ncclScatter(call.input, call.output, shape.count, call.type, shape.root, call.comm, nullptr);
}

ncclResult_t run_all_gatherv(const Shape& shape, const Call& call) {
  return hansaAllGatherV(call.input, shape.count, call.output, shape.receive_counts.data(),
                         shape.receive_offsets.data(), call.type, call.comm, nullptr);
}
ncclResult_t run_reduce_scatterv(const Shape& shape, const Call& call) {
  return hansaReduceScatterV(call.input, call.output, shape.receive_counts.data(), call.type, call.op,
                             call.comm, nullptr);
}
ncclResult_t run_barrier(const Shape&, const Call& call) { return hansaBarrier(call.comm, nullptr); }

// Opens a group, lets `post` send and receive, and ends the group whatever became of that.
template <class Post>
ncclResult_t grouped(const Post& post) {
  const ncclResult_t started = ncclGroupStart();
  if (started != ncclSuccess) return started;
  const ncclResult_t posted = post();
  const ncclResult_t ended = ncclGroupEnd();
  return posted != ncclSuccess ? posted : ended;
}

ncclResult_t exchange_with_all(const Call& call, const Shape& shape, const size_t* send,
                               const size_t* send_at, const size_t* receive, const size_t* receive_at) {
  return grouped([&] {
    ncclResult_t result = ncclSuccess;
    for (int peer = 0; peer < shape.ranks && result == ncclSuccess; ++peer) {
      if (send[peer] > 0)
        result = ncclSend(call.input + send_at[peer] * shape.element, send[peer], call.type, peer, call.comm,
                          nullptr);
      if (receive[peer] > 0 && result == ncclSuccess)
        result = ncclRecv(call.output + receive_at[peer] * shape.element, receive[peer], call.type, peer,
                          call.comm, nullptr);
    }
    return result;
  });
}

// In place no result is defined, and Hansa's alltoall refuses; nccl-tests times it all the same, as a group
// of messages.
ncclResult_t run_alltoall(const Shape& shape, const Call& call) {
  if (!call.in_place)
    return ncclAlltoAll(call.input, call.output, shape.count, call.type, call.comm, nullptr);
  std::vector<size_t> counts(static_cast<size_t>(shape.ranks), shape.count), at;
  for (int peer = 0; peer < shape.ranks; ++peer) at.push_back(block(shape, peer));
  return exchange_with_all(call, shape, counts.data(), at.data(), counts.data(), at.data());
}

ncclResult_t run_alltoallv(const Shape& shape, const Call& call) {
  if (call.in_place)
    return exchange_with_all(call, shape, shape.send_counts.data(), shape.send_offsets.data(),
                             shape.receive_counts.data(), shape.receive_offsets.data());
  return hansaAllToAllV(call.input, shape.send_counts.data(), shape.send_offsets.data(), call.output,
                        shape.receive_counts.data(), shape.receive_offsets.data(), call.type, call.comm,
                        nullptr);
}

ncclResult_t run_sendrecv(const Shape& shape, const Call& call) {
  return grouped([&] {
    const int right = (shape.rank + 1) % shape.ranks, left = (shape.rank + shape.ranks - 1) % shape.ranks;
    const ncclResult_t sent = ncclSend(call.input, shape.count, call.type, right, call.comm, nullptr);
    return sent != ncclSuccess ? sent
                               : ncclRecv(call.output, shape.count, call.type, left, call.comm, nullptr);
  });
}

// In each round a rank and the one that differs in one bit exchange all they have.
ncclResult_t run_hypercube(const Shape& shape, const Call& call) {
  const size_t bytes = shape.count * shape.element;
  std::byte* const own = call.output + static_cast<size_t>(shape.rank) * bytes;
  if (own != call.input) std::memcpy(own, call.input, bytes);
  for (int mask = 1; mask < shape.ranks; mask <<= 1) {
    const int mine = shape.rank & ~(mask - 1), theirs = mine ^ mask, peer = shape.rank ^ mask;
    const size_t count = shape.count * static_cast<size_t>(mask);
    const ncclResult_t result = grouped([&] {
      const ncclResult_t sent = ncclSend(call.output + static_cast<size_t>(mine) * bytes, count, call.type,
                                         peer, call.comm, nullptr);
      return sent != ncclSuccess ? sent
                                 : ncclRecv(call.output + static_cast<size_t>(theirs) * bytes, count,
                                            call.type, peer, call.comm, nullptr);
    });
    if (result != ncclSuccess) return result;
  }
  return ncclSuccess;
}

size_t one_count(const Shape& shape) { return shape.count; }
size_t all_counts(const Shape& shape) { return shape.count * static_cast<size_t>(shape.ranks); }
size_t other_counts(const Shape& shape) { return shape.count * static_cast<size_t>(shape.ranks - 1); }
size_t busiest_count(const Shape& shape) { return shape.busiest; }
double twice_others(double n) { return 2 * (n - 1) / n; }
double others(double n) { return (n - 1) / n; }
double as_is(double) { return 1; }
bool everybody(const Shape&) { return true; }
bool only_root(const Shape& shape) { return shape.rank == shape.root; }

// name, of_nccl_tests, reduces, shown_op, rooted, in_place, power_of_two, ...
constexpr Program kPrograms[] = {
    {"all_reduce", true, true, nullptr, false, true, false, whole, run_all_reduce, all_reduced, one_count,
     twice_others, everybody},
    {"all_gather", true, false, "none", false, true, false, gathered, run_all_gather, of_everybody,
     all_counts, others, everybody},
    {"broadcast", true, false, "none", true, true, false, whole, run_broadcast, of_root, one_count, as_is,
     only_root},
    {"reduce_scatter", true, true, nullptr, false, true, false, scattered, run_reduce_scatter,
     own_share_reduced, all_counts, others, everybody},
    {"reduce", true, true, nullptr, true, true, false, whole, run_reduce, at_root_reduced, one_count, as_is,
     everybody},
    {"alltoall", true, false, "none", false, false, false, exchanged, run_alltoall, own_share_of_everybody,
     all_counts, others, everybody},
    {"alltoallv", true, false, "none", false, false, false, exchanged_unevenly, run_alltoallv,
     uneven_of_everybody, busiest_count, others, everybody},
    {"scatter", true, false, "none", true, true, false, scattered, run_scatter, own_share_of_root, all_counts,
     others, only_root},
    {"gather", true, false, "none", true, true, false, gathered, run_gather, at_root_of_everybody, all_counts,
     others, everybody},
    {"sendrecv", true, false, nullptr, false, false, false, whole, run_sendrecv, of_left_neighbour, one_count,
     as_is, everybody},
    {"hypercube", true, false, "", false, true, true, gathered, run_hypercube, of_everybody, other_counts,
     as_is, everybody},
    {"all_gatherv", false, false, "none", false, true, false, gathered_unevenly, run_all_gatherv,
     uneven_share_of_everybody, busiest_count, others, everybody},
    {"reduce_scatterv", false, true, nullptr, false, true, false, scattered_unevenly, run_reduce_scatterv,
     uneven_share_reduced, busiest_count, others, everybody},
    {"barrier", false, false, "none", false, true, false, nothing, run_barrier, no_data, one_count, as_is,
     everybody},
};

}  // namespace

size_t Traffic::bytes(int from, int to, int ranks, size_t total) const {
  if (matrix) return matrix->bytes[static_cast<size_t>(from) * matrix->n + static_cast<size_t>(to)];
  if (ranks == 1) return total & ~size_t{15};
  const double n = ranks, distance = (to - from + ranks) % ranks, all = static_cast<double>(total);
  return static_cast<size_t>((1 - spread) * all / n + spread * all * distance / (n * (n - 1) / 2)) &
         ~size_t{15};
}

std::span<const Program> programs() { return kPrograms; }

const Program* find_program(std::string_view name) {
  for (const std::string_view suffix : {"_mpi", "_perf"})
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
  const auto found = std::ranges::find_if(kPrograms, [&](const Program& p) { return name == p.name; });
  return found == std::end(kPrograms) ? nullptr : found;
}

}  // namespace hansa::bench
