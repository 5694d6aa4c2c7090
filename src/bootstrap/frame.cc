#include "bootstrap/frame.hpp"

#include "bootstrap/bytes.hpp"

namespace hansa::bootstrap {
namespace {

Key seal_of(const Key& key, std::uint64_t number, BytesView header_and_payload) {
  ByteWriter counter;
  counter.number(number);
  return derive(key, "frame", {counter.view(), header_and_payload});
}

}  // namespace

std::vector<std::byte> FrameSealer::seal(std::uint8_t type, BytesView payload) {
  ByteWriter writer;
  writer.number(static_cast<std::uint32_t>(payload.size()));
  writer.number(type);
  writer.raw(payload);
  writer.raw(BytesView(seal_of(key_, number_++, writer.view())).first(kFrameSealBytes));
  return writer.take();
}

FrameOpener::Outcome FrameOpener::open(BytesView bytes, std::size_t most, Frame* frame, std::size_t* used) {
  if (bytes.size() < kFrameHeaderBytes) return Outcome::kNeedsMore;
  ByteReader reader(bytes);
  const std::size_t size = reader.number<std::uint32_t>();
  if (size > most) return Outcome::kForged;
  if (bytes.size() < size + kFrameOverheadBytes) return Outcome::kNeedsMore;
  frame->type = reader.number<std::uint8_t>();
  frame->payload = reader.raw(size);
  const BytesView seal = reader.raw(kFrameSealBytes);
  const Key wanted = seal_of(key_, number_, bytes.first(kFrameHeaderBytes + size));
  if (!equal(seal, BytesView(wanted).first(kFrameSealBytes))) return Outcome::kForged;
  ++number_;
  *used = size + kFrameOverheadBytes;
  return Outcome::kFrame;
}

}  // namespace hansa::bootstrap
