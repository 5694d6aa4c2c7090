// Where a process listens: choosing an interface, listening and connecting over TCP.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bootstrap/bytes.hpp"
#include "control/descriptor.hpp"
#include "hansa/interface.hpp"
#include "hansa/status.hpp"

namespace hansa::bootstrap {

struct NetworkAddress {
  bool v6 = false;
  std::array<std::byte, 16> host{};  // IPv4: the first four
  std::uint32_t scope = 0;           // of a link-local IPv6 address; means something on the own host only
  std::uint16_t port = 0;

  std::string text() const;       // with the port
  std::string host_text() const;  // numeric
  static constexpr std::size_t kWireBytes = 24;
  void write(ByteWriter* to) const;
  static NetworkAddress read(ByteReader* from);  // fails through from->ok()
};

// `interface` is a list of names of interfaces and their beginnings (see InterfaceFilter), or an address of
// this host. Empty: the first that is up, by preference fabrics' (hsn*, ib*), then others, then those of
// containers and bridges, then loopback; IPv4 before IPv6. `family` 4 or 6 allows no other kind of address.
// The port is 0.
Result<NetworkAddress> choose_address(const std::string& interface, int family = 0);

// The interfaces that are as good as the one choose_address() takes, itself among them, by name; at most
// kMostRails. Those that the wish names in full are equals, and so are those of one kind that it names by
// their beginnings. Without names they are a fabric's (hsn*, ib*) of one kind and speed: others may be there
// for other things.
inline constexpr std::size_t kMostRails = 8;
Result<std::vector<Interface>> choose_rails(const std::string& interface, int family = 0);

// An address as digits; nothing for anything else. The port is 0.
std::optional<NetworkAddress> address_from_digits(const std::string& text);

// Null, unix and link-local addresses are nothing: the last mean something on the own host only. The port is
// 0.
std::optional<NetworkAddress> address_from_system(const sockaddr* system);

// Binds to exactly this address, at the first free port of the range (0, 0: any), which it writes to
// `address`. `remedy` is what to do where none is free.
Result<control::Descriptor> listen_tcp(NetworkAddress* address, std::uint16_t port_first,
                                       std::uint16_t port_last,
                                       const char* remedy = "widen HANSA_PORT_RANGE");

// Starts connecting: the socket becomes writable when that has succeeded or failed (SO_ERROR).
Result<control::Descriptor> connect_tcp(const NetworkAddress& address);

// No delay; keepalive, so that a host that is gone ends an idle connection after kHostLostSeconds (for one
// with bytes under way see Silence). A stopped process does not: its kernel answers.
inline constexpr int kHostLostSeconds = 3;
void tune_tcp(int fd);

// The network interface of this host that a connection uses.
struct Rail {
  std::string name;  // of the interface; empty: none has the connection's address (any more)
  bool up = true;    // and its link is there
};
Rail rail_of(int fd);

}  // namespace hansa::bootstrap
