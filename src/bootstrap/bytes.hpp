// Little-endian fields in and out of bytes. The reader trusts nothing: past the end it yields zeros and
// ok() stays false from then on.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "hansa/types.hpp"

namespace hansa::bootstrap {

class ByteWriter {
 public:
  template <class T>
  void number(T value) {
    using Unsigned = std::make_unsigned_t<T>;
    auto rest = static_cast<std::uint64_t>(static_cast<Unsigned>(value));
    for (std::size_t i = 0; i < sizeof(T); ++i, rest >>= 8)
      bytes_.push_back(static_cast<std::byte>(rest & 255u));
  }
  void raw(BytesView bytes);
  void blob(BytesView bytes) {
    number(static_cast<std::uint32_t>(bytes.size()));
    raw(bytes);
  }
  void text(std::string_view text) { blob(std::as_bytes(std::span(text))); }
  std::size_t size() const { return bytes_.size(); }
  BytesView view() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(BytesView bytes) : rest_(bytes) {}

  template <class T>
  T number() {
    const BytesView bytes = raw(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;)
      value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    return static_cast<T>(value);
  }
  // Points into the bytes read from; empty where fewer are left.
  BytesView raw(std::size_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const BytesView bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }
  BytesView blob(std::size_t most) {
    const auto size = number<std::uint32_t>();
    if (size > most) ok_ = false;
    return ok_ ? raw(size) : BytesView();
  }
  std::string text(std::size_t most) {
    const BytesView bytes = blob(most);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  template <std::size_t kSize>
  void copy(std::array<std::byte, kSize>* to) {
    const BytesView bytes = raw(kSize);
    if (bytes.size() == kSize) std::memcpy(to->data(), bytes.data(), kSize);
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }  // everything was there and nothing is left
  std::size_t left() const { return rest_.size(); }

 private:
  BytesView rest_;
  bool ok_ = true;
};

}  // namespace hansa::bootstrap
