#include "bootstrap/handshake.hpp"

#include <cstring>

namespace hansa::bootstrap {
namespace {

constexpr char kMagic[] = {'H', 'A', 'N', 'S', 'A', '-', 'L', '1'};

Key bound(const Key& key, const Transcript& transcript, std::string_view label) {
  return derive(key, label, {transcript.door, transcript.dialer, transcript.acceptor});
}

Key proof(const Key& key, const Transcript& transcript, Side side) {
  return bound(key, transcript, side == Side::kDialer ? "proof of dialer" : "proof of acceptor");
}

}  // namespace

Door door_of(const Key& key, std::string_view service, std::string_view host) {
  const Key whole = derive(key, "door", {std::as_bytes(std::span(service)), std::as_bytes(std::span(host))});
  Door door;
  std::memcpy(door.data(), whole.data(), door.size());
  return door;
}

std::array<std::byte, kHelloBytes> make_hello(const Transcript& transcript) {
  std::array<std::byte, kHelloBytes> bytes;
  std::memcpy(bytes.data(), kMagic, sizeof kMagic);
  std::memcpy(bytes.data() + sizeof kMagic, transcript.door.data(), sizeof(Door));
  std::memcpy(bytes.data() + sizeof kMagic + sizeof(Door), transcript.dialer.data(), sizeof(Nonce));
  return bytes;
}

bool parse_hello(BytesView bytes, Transcript* transcript) {
  if (bytes.size() != kHelloBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return false;
  std::memcpy(transcript->door.data(), bytes.data() + sizeof kMagic, sizeof(Door));
  std::memcpy(transcript->dialer.data(), bytes.data() + sizeof kMagic + sizeof(Door), sizeof(Nonce));
  return true;
}

std::array<std::byte, kChallengeBytes> make_challenge(const Key& key, const Transcript& transcript) {
  std::array<std::byte, kChallengeBytes> bytes;
  const Key mine = proof(key, transcript, Side::kAcceptor);
  std::memcpy(bytes.data(), transcript.acceptor.data(), sizeof(Nonce));
  std::memcpy(bytes.data() + sizeof(Nonce), mine.data(), sizeof(Key));
  return bytes;
}

bool check_challenge(BytesView bytes, const Key& key, Transcript* transcript) {
  if (bytes.size() != kChallengeBytes) return false;
  std::memcpy(transcript->acceptor.data(), bytes.data(), sizeof(Nonce));
  return equal(bytes.subspan(sizeof(Nonce)), proof(key, *transcript, Side::kAcceptor));
}

std::array<std::byte, kAnswerBytes> make_answer(const Key& key, const Transcript& transcript) {
  return proof(key, transcript, Side::kDialer);
}

bool check_answer(BytesView bytes, const Key& key, const Transcript& transcript) {
  return equal(bytes, proof(key, transcript, Side::kDialer));
}

Key frame_key(const Key& key, const Transcript& transcript, Side side) {
  return bound(key, transcript, side == Side::kDialer ? "frames of dialer" : "frames of acceptor");
}

}  // namespace hansa::bootstrap
