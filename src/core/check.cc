// What a communicator accepts: every argument error is found here, before anything moves.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/communicator.hpp"

namespace hansa {
namespace {

Status argument(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

// A buffer as bytes; length 0 where the rank has none.
struct Range {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  bool overlaps(const Range& other) const {
    return bytes > 0 && other.bytes > 0 && begin < other.begin + other.bytes && other.begin < begin + bytes;
  }
};

constexpr auto kMostBytes = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());

bool multiply_fits(std::size_t a, std::size_t b) { return a == 0 || b <= kMostBytes / a; }

// Block i of a buffer laid out by tables; without offsets one block follows the other from `next` on.
Range block_of(const void* buffer, const std::size_t* counts, const std::size_t* offsets, std::size_t i,
               std::size_t element, std::size_t& next) {
  const std::size_t offset = offsets ? offsets[i] : next;
  next += counts[i];
  return {reinterpret_cast<std::uintptr_t>(buffer) + offset * element, counts[i] * element};
}

// From the first byte of any block to the last of any other; nothing where they reach too far.
std::optional<Range> span_of(const void* buffer, const std::size_t* counts, const std::size_t* offsets,
                             std::size_t n, std::size_t element) {
  const std::size_t most = kMostBytes / element;
  std::size_t first = most, last = 0, next = 0;
  for (std::size_t i = 0; i < n; next += counts[i++]) {
    const std::size_t offset = offsets ? offsets[i] : next;
    if (counts[i] > most || offset > most - counts[i]) return std::nullopt;
    if (counts[i] == 0) continue;
    first = std::min(first, offset);
    last = std::max(last, offset + counts[i]);
  }
  if (last == 0) return Range{};
  return Range{reinterpret_cast<std::uintptr_t>(buffer) + first * element, (last - first) * element};
}

}  // namespace

Status Communicator::check(const Request& request) const {
  if (rooted(request.collective) && (request.root < 0 || request.root >= ranks()))
    return argument(fmt::format("root {} of {}: must be in 0..{}", request.root, name_of(request.collective),
                                ranks() - 1));
  if (!multiply_fits(request.count, size_of(request.type) * static_cast<std::size_t>(ranks())))
    return argument(fmt::format("count {} of {}: the buffers would be larger than any address space",
                                request.count, name_of(request.type)));
  if (request.collective == Collective::kBarrier) return {};
  if (request.receive_counts != nullptr) return check_tables(request);
  if (request.collective > Collective::kScatter) return argument("a table of counts is NULL");
  if (request.count == 0) return {};
  const bool root = !rooted(request.collective) || request.root == rank();
  const bool needs_input =
      root || request.collective == Collective::kReduce || request.collective == Collective::kGather;
  const bool needs_output =
      root || request.collective == Collective::kBroadcast || request.collective == Collective::kScatter;
  if (needs_input && request.input == nullptr) return argument("the send buffer is NULL");
  if (needs_output && request.output == nullptr) return argument("the receive buffer is NULL");
  return needs_input && needs_output ? check_overlap(request) : Status();
}

Status Communicator::check_overlap(const Request& request) const {
  const std::size_t share = request.count * size_of(request.type);
  const std::size_t n = static_cast<std::size_t>(ranks()), self = static_cast<std::size_t>(rank());
  Range in{reinterpret_cast<std::uintptr_t>(request.input), share},
      out{reinterpret_cast<std::uintptr_t>(request.output), share};
  std::ptrdiff_t legal = 0;  // where the output may stand, seen from the input
  bool in_place = true;
  switch (request.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      out.bytes *= n;
      legal = -static_cast<std::ptrdiff_t>(self * share);
      break;
    case Collective::kReduceScatter:
    case Collective::kScatter:
      in.bytes *= n;
      legal = static_cast<std::ptrdiff_t>(self * share);
      break;
    case Collective::kAllToAll:
      in.bytes *= n;
      out.bytes *= n;
      in_place = false;
      break;
    default:
      break;
  }
  if (!in.overlaps(out)) return {};
  if (in_place && out.begin == in.begin + static_cast<std::uintptr_t>(legal)) return {};
  return argument(fmt::format(
      "send buffer [{:#x}, +{}) and receive buffer [{:#x}, +{}) overlap; {}", in.begin, in.bytes, out.begin,
      out.bytes,
      in_place ? fmt::format("in place the receive buffer of {} must start at {:#x}",
                             name_of(request.collective), in.begin + static_cast<std::uintptr_t>(legal))
               : fmt::format("{} cannot work in place", name_of(request.collective))));
}

Status Communicator::check_tables(const Request& request) const {
  const auto n = static_cast<std::size_t>(ranks()), self = static_cast<std::size_t>(rank());
  const std::size_t element = size_of(request.type);
  const bool reduces = request.collective == Collective::kReduceScatterV;
  const bool sends = request.collective == Collective::kAllToAllV;
  if (sends && (request.send_counts == nullptr || request.send_offsets == nullptr ||
                request.receive_offsets == nullptr))
    return argument("a table of counts or displacements is NULL");
  auto in = sends ? span_of(request.input, request.send_counts, request.send_offsets, n, element) : Range();
  // What ReduceScatterV's table describes is its input.
  auto out = span_of(reduces ? request.input : request.output, request.receive_counts,
                     request.receive_offsets, n, element);
  if (!in || !out)
    return argument(
        fmt::format("the counts and displacements of {} name buffers larger than any address space",
                    name_of(request.collective)));
  const std::size_t own = request.receive_counts[self];
  if (request.collective == Collective::kAllGatherV && request.count != own)
    return argument(
        fmt::format("sendcount is {}, but recvcounts[{}], this rank's own, is {}", request.count, self, own));
  if (reduces) {
    in = out;
    out = Range{reinterpret_cast<std::uintptr_t>(request.output), own * element};
  } else if (!sends) {
    in = Range{reinterpret_cast<std::uintptr_t>(request.input), own * element};
  }
  if (in->bytes > 0 && request.input == nullptr) return argument("the send buffer is NULL");
  if (out->bytes > 0 && request.output == nullptr) return argument("the receive buffer is NULL");
  return in->overlaps(*out) ? check_table_overlap(request) : Status();
}

// Block by block: the spans overlap, but blocks of both buffers may still take turns.
Status Communicator::check_table_overlap(const Request& request) const {
  const auto n = static_cast<std::size_t>(ranks()), self = static_cast<std::size_t>(rank());
  const std::size_t element = size_of(request.type);
  const bool sends = request.collective == Collective::kAllToAllV;
  // Of both buffers, the one with a block per rank, and this rank's single block or, with sends, blocks of
  // its own.
  const bool reduces = request.collective == Collective::kReduceScatterV;
  const void* whole = reduces ? request.input : request.output;
  const void* other = reduces ? request.output : request.input;
  const std::size_t single = request.receive_counts[self];
  std::size_t next_other = 0;
  for (std::size_t j = 0; j < (sends ? n : 1); ++j) {
    const Range b = sends ? block_of(other, request.send_counts, request.send_offsets, j, element, next_other)
                          : block_of(other, &single, nullptr, 0, element, next_other);
    std::size_t next = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Range a = block_of(whole, request.receive_counts, request.receive_offsets, i, element, next);
      const bool in_place = !sends && i == self && a.begin == b.begin;
      if (a.overlaps(b) && !in_place)
        return argument(fmt::format(
            "send and receive buffer of {} overlap at rank {}'s block; {}", name_of(request.collective), i,
            sends ? "it cannot work in place" : "in place each rank's own block is at its own place"));
    }
  }
  return {};
}

Status Communicator::check(const PointToPoint& message) const {
  if (message.peer < 0 || message.peer >= ranks())
    return argument(fmt::format("peer {}: must be in 0..{}", message.peer, ranks() - 1));
  if (message.bytes > kMostBytes) return argument("count: the buffer would be larger than any address space");
  if (message.bytes > 0 && message.address == nullptr) return argument("the buffer is NULL");
  return {};
}

Status Communicator::check(const OneSidedCall& call) const {
  if (call.peer < 0 || call.peer >= ranks())
    return argument(fmt::format("peer {}: must be in 0..{}", call.peer, ranks() - 1));
  if (call.signal < 0 || call.signal >= OneSided::kSignals)
    return argument(fmt::format("sigIdx {}: must be in 0..{}", call.signal, OneSided::kSignals - 1));
  if (call.context < 0 || call.context >= OneSided::kContexts)
    return argument(fmt::format("ctx {}: must be in 0..{}", call.context, OneSided::kContexts - 1));
  if (!one_sided_ || !one_sided_->ready())
    return Status(Code::kInvalidUsage,
                  "signals need a window: register one with ncclCommWindowRegister on all ranks first");
  if (call.kind != OneSidedCall::Kind::kPut) return {};
  if (!call.input.empty() && call.input.data() == nullptr) return argument("the buffer is NULL");
  const std::uint64_t there = call.window->targets[static_cast<std::size_t>(call.peer)].bytes;
  if (call.offset > there || call.input.size() > there - call.offset)
    return argument(fmt::format("{} bytes at offset {} do not fit into the window of rank {}, which has {}",
                                call.input.size(), call.offset, call.peer, there));
  return {};
}

Status Communicator::check(const std::vector<PointToPoint>& messages) const {
  const auto own = [this](const PointToPoint& message, bool send) {
    return message.send == send && message.peer == rank();
  };
  auto receive = messages.begin();
  const auto next_receive = [&] {
    receive = std::find_if(receive, messages.end(),
                           [&](const PointToPoint& message) { return own(message, false); });
    return receive != messages.end();
  };
  for (const PointToPoint& message : messages) {
    if (!own(message, true)) continue;
    if (!next_receive())
      return Status(Code::kInvalidUsage,
                    "a send of this rank to itself has no receive: both belong in one group");
    if (receive->bytes != message.bytes)
      return Status(Code::kInvalidUsage,
                    fmt::format("this rank sends itself {} bytes, but receives {}: counts must match",
                                message.bytes, receive->bytes));
    ++receive;
  }
  if (next_receive())
    return Status(Code::kInvalidUsage,
                  "a receive of this rank from itself has no send: both belong in one group");
  return {};
}

}  // namespace hansa
