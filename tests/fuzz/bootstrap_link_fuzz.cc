// A hostile end of a connection: bytes for the hello, the challenge, the answer and the frames behind them.
// Nothing that was not made with the key is ever let in.
#include <cstdlib>
#include <cstring>

#include "bootstrap/frame.hpp"
#include "bootstrap/handshake.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hansa;
  using namespace hansa::bootstrap;
  if (!prepare_cryptography().ok()) abort();
  const BytesView bytes = std::as_bytes(std::span(data, size));
  Key key{};
  key[0] = std::byte{1};

  Transcript transcript;
  if (parse_hello(bytes, &transcript)) {
    const auto hello = make_hello(transcript);
    if (std::memcmp(hello.data(), data, size) != 0) abort();
  }
  if (check_challenge(bytes, key, &transcript)) abort();
  if (check_answer(bytes, key, transcript)) abort();

  Frame frame;
  std::size_t used = 0;
  if (FrameOpener(key).open(bytes, 1 << 16, &frame, &used) == FrameOpener::Outcome::kFrame) abort();

  // A right frame with some of its bytes changed and others behind it.
  if (size < 4) return 0;
  FrameSealer sealer(key);
  auto sealed = sealer.seal(data[0], bytes.subspan(4));
  const auto right = sealed;
  sealed[data[1] % sealed.size()] ^= static_cast<std::byte>(data[2]);
  sealed.insert(sealed.end(), bytes.begin(), bytes.end());
  const bool same = data[2] == 0;
  const bool opened = FrameOpener(key).open(sealed, size, &frame, &used) == FrameOpener::Outcome::kFrame;
  if (opened != same) abort();
  if (opened && (used != right.size() || frame.type != data[0] || frame.payload.size() != size - 4)) abort();
  return 0;
}
