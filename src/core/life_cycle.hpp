// The states of a communicator and what may be called in each: one table.
#pragma once

#include <cstdint>

namespace hansa {

enum class State : std::uint8_t { kConnecting, kReady, kFinalizing, kRevoked, kFailed };
inline constexpr int kStates = 5;

// kOperate: collectives, sends, receives, operators, registering. kQuery: rank, count, device, asynchronous
// error, and undoing registrations.
enum class Action : std::uint8_t {
  kOperate,
  kQuery,
  kSplit,
  kShrink,
  kGrow,
  kRevoke,
  kFinalize,
  kDestroy,
  kAbort
};
inline constexpr int kActions = 9;

inline constexpr bool kAllowed[kStates][kActions] = {
    // operate query split shrink grow revoke finalize destroy abort
    {false, true, false, false, false, false, false, true, true},  // connecting
    {true, true, true, true, true, true, true, true, true},        // ready
    {false, true, false, false, false, true, false, true, true},   // finalizing
    {false, true, true, true, false, true, false, true, true},     // revoked
    {false, true, true, true, false, true, false, true, true},     // failed
};

constexpr bool allowed(State state, Action action) {
  return kAllowed[static_cast<int>(state)][static_cast<int>(action)];
}

}  // namespace hansa
