// A case with its buffers: filled before the call, judged after it. What the call must not touch is guarded.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "case.hpp"

namespace hansa::test {

enum class Source { kHeap, kLibrary };  // where buffers come from: the heap, or ncclMemAlloc

struct Release {
  Source source = Source::kHeap;
  void operator()(std::byte* memory) const;
};
using Buffer = std::unique_ptr<std::byte[], Release>;
Buffer allocate(Source source, std::size_t bytes);

class Trial {
 public:
  // Buffers start `shift` elements off the allocation's alignment.
  Trial(const Case& what, const Place& place, std::size_t shift = 0, Source source = Source::kHeap);

  // The buffers as the call takes them: NULL where this rank has none. Stay where they are.
  ncclResult_t start(ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream = nullptr);
  // After completion: prints the first wrong element and returns false, unless all is right.
  bool judge() const;
  // Of this rank's input and output.
  std::size_t bytes() const { return (side_.input + side_.output) * size_; }

 private:
  std::byte* at(std::size_t offset, std::size_t element) const {
    return memory_.get() + offset + element * size_;
  }
  void write_input_of(int rank, std::size_t i, std::byte* to) const;
  void write_expected(std::size_t i, std::byte* to) const;
  bool complain(const char* what, std::size_t i, const std::byte* got, const std::byte* wanted) const;
  template <class Write>
  bool equal(const char* what, std::size_t offset, std::size_t count, const Write& write) const;
  bool guarded(std::size_t from, std::size_t to) const;

  Side side_;
  std::size_t size_;                                // of an element
  std::size_t input_ = 0, output_ = 0, total_ = 0;  // byte offsets of the buffers; bytes of the allocation
  Buffer memory_;
};

// Operators of a rank's communicator: the builtin ones, and a pre-multiplied sum for each type.
class Operators {
 public:
  Operators(const Place& place, ncclComm_t comm);
  ~Operators();
  Operators(const Operators&) = delete;
  Operators& operator=(const Operators&) = delete;
  ncclRedOp_t handle(Op op, ncclDataType_t type) const;

 private:
  ncclComm_t comm_;
  ncclRedOp_t premultiplied_[ncclNumTypes];
};

// Runs one case on the communicator. True if it is right.
bool run(const Case& what, const Place& place, ncclComm_t comm, const Operators& operators,
         std::size_t shift = 0, Source source = Source::kHeap);

}  // namespace hansa::test
