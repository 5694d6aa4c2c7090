// How two ends prove to each other that they know the communicator's key before either reads anything else.
// Pure functions over bytes; Link moves them.
//
//   dialer                                             acceptor
//   Hello: "HANSA-L1", door, nonce_d           ->      looks the door up, else closes without a word
//                                              <-      Challenge: nonce_a, proof(acceptor)
//   Answer: proof(dialer)                      ->
//   then frames, each direction under its own key
//
// proof(side) = keyed hash of (side, door, nonce_d, nonce_a). The sides' labels differ, so nothing can be
// reflected; both nonces are fresh, so nothing can be replayed.
#pragma once

#include "base/secret.hpp"

namespace hansa::bootstrap {

using Door = std::array<std::byte, 16>;  // names a service at a listener; tells nothing about the key

// What a service of the communicator is called: "root", or "hub", "local" or "name" with the host it is for.
Door door_of(const Key& key, std::string_view service, std::string_view host);

inline constexpr std::size_t kHelloBytes = 8 + sizeof(Door) + sizeof(Nonce);
inline constexpr std::size_t kChallengeBytes = sizeof(Nonce) + sizeof(Key);
inline constexpr std::size_t kAnswerBytes = sizeof(Key);

// Both ends collect the same.
struct Transcript {
  Door door{};
  Nonce dialer{}, acceptor{};
};

enum class Side { kDialer, kAcceptor };

std::array<std::byte, kHelloBytes> make_hello(const Transcript& transcript);
// Fills door and dialer's nonce. False for anything that is not a hello of this version; kHelloBytes needed.
bool parse_hello(BytesView bytes, Transcript* transcript);

std::array<std::byte, kChallengeBytes> make_challenge(const Key& key, const Transcript& transcript);
// Fills the acceptor's nonce. False where the acceptor does not know the key; kChallengeBytes needed.
bool check_challenge(BytesView bytes, const Key& key, Transcript* transcript);

std::array<std::byte, kAnswerBytes> make_answer(const Key& key, const Transcript& transcript);
bool check_answer(BytesView bytes, const Key& key, const Transcript& transcript);

// Under which `side` seals its frames on this one connection.
Key frame_key(const Key& key, const Transcript& transcript, Side side);

}  // namespace hansa::bootstrap
