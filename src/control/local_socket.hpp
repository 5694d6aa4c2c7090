// Stream sockets between processes of one host, under abstract names: nothing appears in the file system
// and the name vanishes with its socket. All descriptors are non-blocking and closed on exec.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "control/descriptor.hpp"
#include "hansa/status.hpp"

namespace hansa::control {

// Lowercase hexadecimal, two digits a byte: how random bytes become part of a name.
std::string hexadecimal(std::span<const std::byte> bytes);

// `taken` (may be null) is set where the only reason of failure is that the name is in use.
Result<Descriptor> listen_local(const std::string& name, bool* taken = nullptr);

// Connects at once or not at all. `absent` (may be null) is set where nobody listens under that name,
// `busy` where the listener's queue is full.
Result<Descriptor> connect_local(const std::string& name, bool* absent = nullptr, bool* busy = nullptr);

struct PeerIdentity {
  pid_t pid = 0;  // 0: the peer lives in a pid namespace that this process cannot see
  bool same_user = false;
};
// As the kernel saw the peer when it connected or listened.
PeerIdentity identify_peer(int fd);

}  // namespace hansa::control
