#include "tools/bench/buffers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tools/bench/meeting.hpp"

namespace hansa::bench {
namespace {

constexpr unsigned char kUntouched = 0xa5;
constexpr std::size_t kAlignment = NCCL_WIN_REQUIRED_ALIGNMENT;  // of malloc's buffers

std::size_t touched(const std::byte* from, std::size_t elements, std::size_t element) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < elements; ++i)
    count += std::any_of(from + i * element, from + (i + 1) * element,
                         [](std::byte byte) { return byte != std::byte{kUntouched}; });
  return count;
}

}  // namespace

Result<Buffers> Buffers::make(std::size_t bytes, bool of_malloc) {
  Buffers buffers(std::max<std::size_t>(bytes, 1), of_malloc);
  for (std::byte** buffer : {&buffers.send_, &buffers.receive_}) {
    void* memory = nullptr;
    if (of_malloc) {
      memory = std::aligned_alloc(kAlignment, (buffers.bytes_ + kAlignment - 1) / kAlignment * kAlignment);
      if (memory == nullptr)
        return Status(Code::kSystem, fmt::format("no memory for {} bytes", buffers.bytes_));
    } else {
      HANSA_RETURN_IF_ERROR(status_of(ncclMemAlloc(&memory, buffers.bytes_), nullptr));
    }
    *buffer = static_cast<std::byte*>(memory);
    std::memset(memory, 0, buffers.bytes_);
  }
  return buffers;
}

Buffers::Buffers(Buffers&& other) noexcept
    : bytes_(other.bytes_),
      of_malloc_(other.of_malloc_),
      send_(std::exchange(other.send_, nullptr)),
      receive_(std::exchange(other.receive_, nullptr)) {}

Buffers::~Buffers() {
  for (std::byte* buffer : {send_, receive_}) {
    if (of_malloc_)
      std::free(buffer);
    else if (buffer != nullptr)
      (void)ncclMemFree(buffer);
  }
}

ncclResult_t Buffers::enroll(ncclComm_t comm, bool as_window) {
  std::byte* const buffers[] = {send_, receive_};
  for (int i = 0; i < 2; ++i) {
    ncclWindow_t window = nullptr;
    const ncclResult_t result =
        as_window ? ncclCommWindowRegister(comm, buffers[i], bytes_, &window, NCCL_WIN_COLL_SYMMETRIC)
                  : ncclCommRegister(comm, buffers[i], bytes_, &handles_[i]);
    if (result != ncclSuccess) return result;
    if (as_window) handles_[i] = window;
  }
  return ncclSuccess;
}

ncclResult_t Buffers::forget(ncclComm_t comm, bool as_window) {
  for (void*& handle : handles_) {
    if (handle == nullptr) continue;  // where registration brings nothing
    const ncclResult_t result = as_window ? ncclCommWindowDeregister(comm, static_cast<ncclWindow_t>(handle))
                                          : ncclCommDeregister(comm, handle);
    if (result != ncclSuccess) return result;
    handle = nullptr;
  }
  return ncclSuccess;
}

const std::byte* Buffers::input(const Shape& shape, bool in_place, std::size_t away) const {
  if (!in_place) return send_ + away;
  return receive_ + away + shape.input_at * shape.element;
}

std::byte* Buffers::output(const Shape& shape, bool in_place, std::size_t away) const {
  std::byte* const begin = receive_ + away;
  return in_place ? begin + shape.output_at * shape.element : begin;
}

void Buffers::fill(const Program& program, const Shape& shape, const Type& type, Op op, std::uint64_t seed,
                   bool in_place, std::size_t away) {
  std::memset(receive_ + away, kUntouched, std::max(shape.send, shape.receive) * shape.element);
  if (!program.brings(shape)) return;
  std::byte* const to = in_place ? const_cast<std::byte*>(input(shape, true, away)) : send_ + away;
  Pattern::input(type, op, seed, shape.rank, shape.ranks, shape.send).write(to, 0, shape.brought);
}

std::size_t Buffers::wrong(const Program& program, const Shape& shape, const Type& type, Op op,
                           std::uint64_t seed, bool in_place, std::size_t away) const {
  const std::byte* const found = output(shape, in_place, away);
  std::size_t count = 0;
  for (const Segment& segment : program.expected(shape, in_place)) {
    if (segment.count == 0) continue;
    const std::byte* const at = found + segment.at * shape.element;
    switch (segment.from) {
      case Segment::From::kReduced:
        count += Pattern::reduced(type, op, seed, shape.ranks, shape.send)
                     .differing(at, segment.first, segment.count);
        break;
      case Segment::From::kInput:
        count += Pattern::input(type, op, seed, segment.rank, shape.ranks, shape.send)
                     .differing(at, segment.first, segment.count);
        break;
      case Segment::From::kUntouched:
        count += touched(at, segment.count, shape.element);
        break;
    }
  }
  return count;
}

}  // namespace hansa::bench
