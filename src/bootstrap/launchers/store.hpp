// A client of the TCPStore that torchrun's agent keeps, and the launcher over it.
//
// Wire format: PyTorch's torch/csrc/distributed/c10d/TCPStore.cpp and TCPStoreBackend.hpp (checked with
// 2.13): one byte of command, then fields without padding in the host's byte order (little-endian here),
// strings and values with 8 bytes of length in front. Nobody is authenticated: see docs/launchers.md.
#pragma once

#include <memory>

#include "bootstrap/launcher.hpp"
#include "bootstrap/launchers/meeting_point.hpp"

namespace hansa::bootstrap {

// One thread at a time; calls block until answered or the deadline has passed.
class Store {
 public:
  explicit Store(Stream stream) : stream_(std::move(stream)) {}
  // Says what kind of client this is; kRemote where the other end does not answer as a store. First of all.
  Status greet(Deadline deadline);
  Status set(std::string_view key, BytesView value, Deadline deadline);
  Result<bool> has(std::string_view key, Deadline deadline);
  // Until somebody has set it; at most `most` bytes.
  Result<std::vector<std::byte>> wait_and_get(std::string_view key, std::size_t most, Deadline deadline);
  // To a number that is kept as text, 0 at first; the sum.
  Result<std::int64_t> add(std::string_view key, std::int64_t value, Deadline deadline);
  Status remove(std::string_view key, Deadline deadline);

 private:
  Result<std::uint64_t> read_number(std::size_t bytes, Deadline deadline);
  Stream stream_;
};

// Connects at the first broadcast. The last rank to have read removes the bytes from the store.
Result<std::unique_ptr<Launcher>> open_store(const Lookup& lookup);

}  // namespace hansa::bootstrap
