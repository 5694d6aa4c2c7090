// Messages on a link after the handshake: 4 bytes length of the payload, 1 byte type, payload, 16 bytes seal.
// The seal is a keyed hash over (number of the frame in its direction, length, type, payload): nothing can be
// changed, dropped, doubled or reordered unnoticed. Payloads are not encrypted. Pure functions over bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/secret.hpp"

namespace hansa::bootstrap {

inline constexpr std::size_t kFrameHeaderBytes = 5, kFrameSealBytes = 16;
inline constexpr std::size_t kFrameOverheadBytes = kFrameHeaderBytes + kFrameSealBytes;

struct Frame {
  std::uint8_t type = 0;
  BytesView payload;  // points into the bytes it was opened from
};

class FrameSealer {
 public:
  explicit FrameSealer(const Key& key) : key_(key) {}
  std::vector<std::byte> seal(std::uint8_t type, BytesView payload);

 private:
  Key key_;
  std::uint64_t number_ = 0;
};

class FrameOpener {
 public:
  explicit FrameOpener(const Key& key) : key_(key) {}
  enum class Outcome { kNeedsMore, kFrame, kForged };
  // Looks for a frame at the front of `bytes`; kFrame fills `frame` and the bytes it `used`. kForged, also
  // for payloads over `most`: close the link, nothing that follows can be trusted.
  Outcome open(BytesView bytes, std::size_t most, Frame* frame, std::size_t* used);

 private:
  Key key_;
  std::uint64_t number_ = 0;
};

}  // namespace hansa::bootstrap
