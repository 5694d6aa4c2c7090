#include "base/secret.hpp"

#include <sodium.h>

namespace hansa {
namespace {

void update(crypto_generichash_state* state, BytesView bytes) {
  // The length first: "ab","c" and "a","bc" must not be the same list.
  const std::uint64_t size = bytes.size();
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(size >> (8 * i));
  crypto_generichash_update(state, length, sizeof length);
  crypto_generichash_update(state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}  // namespace

Status prepare_cryptography() {
  if (sodium_init() >= 0) return Status();
  return Status(Code::kSystem,
                "libsodium finds no source of randomness on this system (getrandom, /dev/urandom)");
}

void fill_random(Bytes bytes) { randombytes_buf(bytes.data(), bytes.size()); }

Key random_key() {
  Key key;
  fill_random(key);
  return key;
}

Key derive(const Key& key, std::string_view label, std::initializer_list<BytesView> parts) {
  Key result;
  crypto_generichash_state state;
  crypto_generichash_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                          result.size());
  update(&state, std::as_bytes(std::span(label)));
  for (const BytesView part : parts) update(&state, part);
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(result.data()), result.size());
  sodium_memzero(&state, sizeof state);
  return result;
}

bool equal(BytesView a, BytesView b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void forget(Key* key) { sodium_memzero(key->data(), key->size()); }

}  // namespace hansa
