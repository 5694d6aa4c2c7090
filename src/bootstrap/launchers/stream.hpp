// A connected socket with deadlines: how launchers' channels are read and written.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "control/descriptor.hpp"
#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa::bootstrap {

using Deadline = std::chrono::steady_clock::time_point;

// `patience` from now.
Deadline deadline_in(std::chrono::milliseconds patience);

// One thread at a time. Every call blocks until it is done or its deadline has passed; after an error the
// socket's place in the protocol is unknown, and only destruction makes sense. Errors are kRemote where the
// other end is silent or gone.
class Stream {
 public:
  explicit Stream(control::Descriptor fd) : fd_(std::move(fd)) {}
  Status write(BytesView bytes, Deadline deadline);
  Status write(std::string_view text, Deadline deadline) {
    return write(std::as_bytes(std::span(text)), deadline);
  }
  // Fills `into`.
  Status read(Bytes into, Deadline deadline);
  // Without its line feed. kRemote for lines of more than `most` characters.
  Result<std::string> read_line(std::size_t most, Deadline deadline);

 private:
  Status wait_for(short events, Deadline deadline);
  Status fill(Deadline deadline);  // at least one more byte into inbox_

  control::Descriptor fd_;
  std::vector<std::byte> inbox_;  // received and not yet read
};

}  // namespace hansa::bootstrap
