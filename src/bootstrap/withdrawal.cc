#include "bootstrap/withdrawal.hpp"

namespace hansa::bootstrap {

std::vector<std::byte> Withdrawal::encode() const {
  ByteWriter writer;
  writer.number(rank);
  writer.number(waited_ms);
  return writer.take();
}

bool Withdrawal::parse(BytesView bytes, Withdrawal* out) {
  ByteReader reader(bytes);
  out->rank = reader.number<Rank>();
  out->waited_ms = reader.number<std::uint32_t>();
  return reader.done() && out->rank >= 0 && out->rank < kMostRanks;
}

std::vector<std::byte> Dismissal::encode() const {
  ByteWriter writer;
  writer.number(rank);
  writer.raw(Failure{why}.encode());
  return writer.take();
}

bool Dismissal::parse(BytesView bytes, Dismissal* out) {
  ByteReader reader(bytes);
  Failure failure;
  out->rank = reader.number<Rank>();
  if (!Failure::parse(reader.raw(reader.left()), &failure)) return false;
  out->why = failure.status;
  return out->rank >= 0 && out->rank < kMostRanks;
}

Status gave_up(const Process& process) {
  return Status(Code::kRemote, process.text() + " gave up when all had come, before all were connected");
}

}  // namespace hansa::bootstrap
