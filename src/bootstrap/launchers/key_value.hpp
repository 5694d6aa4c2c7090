// A launcher whose channel is a key-value space with a fence (PMI-1, PMI-2, PMIx), and the form that bytes
// take in it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bootstrap/launcher.hpp"
#include "bootstrap/launchers/stream.hpp"

namespace hansa::bootstrap {

// The space of one job. One thread at a time; calls block until the launcher has answered or the deadline has
// passed. Keys and values are printable, without blanks and without any of = ; and are used once.
class KeyValueSpace {
 public:
  virtual ~KeyValueSpace() = default;
  virtual const Job& job() const noexcept = 0;
  virtual std::size_t most_value() const noexcept = 0;  // characters
  virtual Status put(const std::string& key, const std::string& value, Deadline deadline) = 0;
  // Collective over the job: what any rank put before it is there for all after it.
  virtual Status fence(Deadline deadline) = 0;
  // What rank 0 put.
  virtual Result<std::string> get(const std::string& key, Deadline deadline) = 0;
};

std::unique_ptr<Launcher> launcher_over(std::unique_ptr<KeyValueSpace> space);

// Bytes as values of at most `most_value` characters (at least 16): "length.hex" and as many of "hex" as it
// takes.
std::vector<std::string> cut(BytesView bytes, std::size_t most_value);

// Puts them together again. Values come from outside: nothing is believed, nothing grows beyond
// Launcher::kMostBytes.
class Assembly {
 public:
  bool add(std::string_view value);  // in order; false where it is not what cut() makes
  bool complete() const noexcept { return length_ && bytes_.size() == *length_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::optional<std::size_t> length_;
  std::vector<std::byte> bytes_;
};

}  // namespace hansa::bootstrap
