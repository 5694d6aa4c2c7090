// Randomness, keys and what is derived from them (libsodium's keyed BLAKE2b). The only user of libsodium.
#pragma once

#include <array>
#include <initializer_list>
#include <string_view>

#include "hansa/status.hpp"
#include "hansa/types.hpp"

namespace hansa {

using Key = std::array<std::byte, 32>;    // secret: never logged, never sent
using Nonce = std::array<std::byte, 32>;  // public, used once

// kSystem where the system has no randomness. Before anything else here; any thread, any number of times.
Status prepare_cryptography();

void fill_random(Bytes bytes);
Key random_key();

// 32 bytes that only holders of `key` can make, different for every label and every list of parts.
Key derive(const Key& key, std::string_view label, std::initializer_list<BytesView> parts);

// In constant time.
bool equal(BytesView a, BytesView b);

// Overwrites it in a way that no compiler removes.
void forget(Key* key);

}  // namespace hansa
