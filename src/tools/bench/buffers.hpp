// A rank's buffers: filled with known data before an operation, judged after it.
#pragma once

#include <cstddef>

#include "hansa/status.hpp"
#include "nccl.h"
#include "tools/bench/programs.hpp"
#include "tools/bench/values.hpp"

namespace hansa::bench {

class Buffers {
 public:
  // Two of `bytes` each, touched.
  static Result<Buffers> make(std::size_t bytes, bool of_malloc);
  Buffers(Buffers&& other) noexcept;
  Buffers& operator=(Buffers&&) = delete;
  ~Buffers();

  // As a window (collective) or for this communicator alone; undone by `forget`.
  ncclResult_t enroll(ncclComm_t comm, bool as_window);
  ncclResult_t forget(ncclComm_t comm, bool as_window);

  // Where an operation's data lie; `away`: bytes from the buffers' begin.
  const std::byte* input(const Shape& shape, bool in_place, std::size_t away) const;
  std::byte* output(const Shape& shape, bool in_place, std::size_t away) const;

  // What the rank brings to an operation `away`, and elsewhere bytes that it will hardly write by chance.
  void fill(const Program& program, const Shape& shape, const Type& type, Op op, std::uint64_t seed,
            bool in_place, std::size_t away);
  // How many elements are not what fill() of all ranks with the same seed and then the operation make them.
  std::size_t wrong(const Program& program, const Shape& shape, const Type& type, Op op, std::uint64_t seed,
                    bool in_place, std::size_t away) const;

 private:
  Buffers(std::size_t bytes, bool of_malloc) : bytes_(bytes), of_malloc_(of_malloc) {}

  std::size_t bytes_;
  bool of_malloc_;
  std::byte* send_ = nullptr;
  std::byte* receive_ = nullptr;
  void* handles_[2] = {};  // of registrations
};

}  // namespace hansa::bench
