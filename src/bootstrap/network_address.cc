#include "bootstrap/network_address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <utility>

#include "bootstrap/interface_filter.hpp"

namespace hansa::bootstrap {
namespace {

using control::Descriptor;
using control::system_error;

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

struct SystemAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SystemAddress to_system(const NetworkAddress& address) {
  SystemAddress system;
  if (address.v6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    v6.sin6_scope_id = address.scope;
    std::memcpy(&v6.sin6_addr, address.host.data(), 16);
    std::memcpy(&system.storage, &v6, sizeof v6);
    system.bytes = sizeof v6;
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, address.host.data(), 4);
    std::memcpy(&system.storage, &v4, sizeof v4);
    system.bytes = sizeof v4;
  }
  return system;
}

// Lower is better; below kOrdinary are fabrics'.
constexpr int kOrdinary = 4;
int preference(std::string_view name, unsigned flags, bool v6) {
  const auto begins = [name](std::string_view with) { return name.substr(0, with.size()) == with; };
  int rank = kOrdinary;
  if (flags & IFF_LOOPBACK)
    rank = 8;
  else if (begins("docker") || begins("br-") || begins("virbr") || begins("veth") || begins("cni"))
    rank = 6;
  else if (begins("hsn"))
    rank = 0;
  else if (begins("ib"))
    rank = 2;
  return rank + (v6 ? 1 : 0);
}

}  // namespace

std::string NetworkAddress::host_text() const {
  char digits[INET6_ADDRSTRLEN] = {};
  inet_ntop(v6 ? AF_INET6 : AF_INET, host.data(), digits, sizeof digits);
  return digits;
}

std::string NetworkAddress::text() const {
  return v6 ? fmt::format("[{}]:{}", host_text(), port) : fmt::format("{}:{}", host_text(), port);
}

void NetworkAddress::write(ByteWriter* to) const {
  to->number(static_cast<std::uint8_t>(v6 ? 6 : 4));
  to->number(std::uint8_t{0});
  to->number(port);
  to->number(scope);
  to->raw(host);
}

NetworkAddress NetworkAddress::read(ByteReader* from) {
  NetworkAddress address;
  const auto family = from->number<std::uint8_t>();
  const auto zero = from->number<std::uint8_t>();
  address.v6 = family == 6;
  address.port = from->number<std::uint16_t>();
  address.scope = from->number<std::uint32_t>();
  from->copy(&address.host);
  if ((family != 4 && family != 6) || zero != 0 || address.port == 0) from->raw(from->left() + 1);
  return address;
}

std::optional<NetworkAddress> address_from_system(const sockaddr* system) {
  NetworkAddress address;
  if (system == nullptr) return std::nullopt;
  if (system->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, system, sizeof v4);
    std::memcpy(address.host.data(), &v4.sin_addr, 4);
    return address;
  }
  if (system->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, system, sizeof v6);
    // Link-local addresses say nothing on another host.
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) return std::nullopt;
    address.v6 = true;
    std::memcpy(address.host.data(), &v6.sin6_addr, 16);
    return address;
  }
  return std::nullopt;
}

std::optional<NetworkAddress> address_from_digits(const std::string& text) {
  NetworkAddress address;
  if (inet_pton(AF_INET, text.c_str(), address.host.data()) == 1) return address;
  address.v6 = true;
  if (inet_pton(AF_INET6, text.c_str(), address.host.data()) == 1) return address;
  return std::nullopt;
}

namespace {

// An address of an interface that the user allows.
struct Candidate {
  std::string name;
  NetworkAddress address;
  int kind = 0;        // see preference()
  bool named = false;  // in full
  bool running = false;
};

// In the system's order. `present`: the names of all that are up.
Result<std::vector<Candidate>> candidates(const std::string& interface, int family, std::string* present) {
  HANSA_ASSIGN_OR_RETURN(const InterfaceFilter filter, InterfaceFilter::parse(interface));
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return system_error("cannot list the network interfaces", errno);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
  std::vector<Candidate> found;
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    const auto address = address_from_system(entry->ifa_addr);
    if (!address || !(entry->ifa_flags & IFF_UP)) continue;
    const std::string name = entry->ifa_name;
    if (present->find(name) == std::string::npos) *present += (present->empty() ? "" : ", ") + name;
    if (!filter.admits(name) || (family != 0 && address->v6 != (family == 6))) continue;
    found.push_back({name, *address, preference(name, entry->ifa_flags, address->v6), filter.names(name),
                     (entry->ifa_flags & IFF_RUNNING) != 0});
  }
  return found;
}

// A full name beats its use as the beginning of another.
bool is_better(const Candidate& a, const Candidate& b) {
  return std::pair(!a.named, a.kind) < std::pair(!b.named, b.kind);
}

// In Mb/s; 0 where it is not known.
long speed_of(const std::string& name) {
  long speed = 0;
  std::ifstream(fmt::format("/sys/class/net/{}/speed", name)) >> speed;
  return std::max(speed, 0L);
}

bool names_some(const std::string& interface) { return !interface.empty() && interface[0] != '^'; }

}  // namespace

Result<NetworkAddress> choose_address(const std::string& interface, int family) {
  if (const auto digits = address_from_digits(interface)) return *digits;
  std::string present;
  HANSA_ASSIGN_OR_RETURN(const auto found, candidates(interface, family, &present));
  const auto best = std::min_element(found.begin(), found.end(), is_better);
  if (best != found.end()) return best->address;
  if (interface.empty()) return address_from_digits(family == 6 ? "::1" : "127.0.0.1").value();
  return Status(
      Code::kInvalidArgument,
      fmt::format(
          "no interface that is up{} fits '{}', and it is no address; present: {}; set HANSA_INTERFACE "
          "(or NCCL_SOCKET_IFNAME) to one of them",
          family == 0 ? "" : fmt::format(" with an IPv{} address", family), interface, present));
}

Result<std::vector<Interface>> choose_rails(const std::string& interface, int family) {
  std::string present;
  std::vector<Candidate> found;
  if (!address_from_digits(interface)) {
    HANSA_ASSIGN_OR_RETURN(found, candidates(interface, family, &present));
  }
  const auto best = std::min_element(found.begin(), found.end(), is_better);
  if (best == found.end()) return std::vector<Interface>();
  const bool fabric = best->kind < kOrdinary;
  const long speed = speed_of(best->name);
  const auto fits = [&, first = *best](const Candidate& one) {
    if (one.name == first.name) return one.kind == first.kind;
    if (one.named != first.named || one.address.v6 != first.address.v6) return false;
    if (first.named) return true;
    return one.kind == first.kind && one.running && (fabric || names_some(interface)) &&
           speed_of(one.name) == speed;
  };
  std::vector<Interface> rails;
  for (const Candidate& one : found) {
    const auto same = [&](const Interface& rail) { return rail.name == one.name; };
    if (fits(one) && std::none_of(rails.begin(), rails.end(), same))
      rails.push_back({one.name, one.address.host_text()});
  }
  std::sort(rails.begin(), rails.end(), [](const Interface& a, const Interface& b) {
    return std::pair(a.name.size(), a.name) < std::pair(b.name.size(), b.name);
  });
  rails.resize(std::min(rails.size(), kMostRails));
  return rails;
}

Result<Descriptor> listen_tcp(NetworkAddress* address, std::uint16_t port_first, std::uint16_t port_last,
                              const char* remedy) {
  if (port_last < port_first) {
    return Status(Code::kInvalidArgument,
                  fmt::format("the port range {}-{} is empty", port_first, port_last));
  }
  int error = 0;
  for (std::uint32_t port = port_first; port <= port_last; ++port) {
    Descriptor fd(::socket(address->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.open()) return system_error("cannot create a socket", errno);
    const int on = 1;
    // A port whose last connections still linger in TIME_WAIT is free for a range of few ports.
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address->port = static_cast<std::uint16_t>(port);
    SystemAddress system = to_system(*address);
    if (::bind(fd.get(), system.get(), system.bytes) != 0 || ::listen(fd.get(), kBacklog) != 0) {
      error = errno;
      if (error == EADDRINUSE) continue;
      return system_error(fmt::format("cannot listen at {}", address->text()), error);
    }
    getsockname(fd.get(), system.get(), &system.bytes);
    address->port = ntohs(address->v6 ? reinterpret_cast<sockaddr_in6*>(&system.storage)->sin6_port
                                      : reinterpret_cast<sockaddr_in*>(&system.storage)->sin_port);
    return fd;
  }
  return Status(Code::kSystem, fmt::format("no port of {}-{} is free at {}; {}", port_first, port_last,
                                           address->text(), remedy));
}

Result<Descriptor> connect_tcp(const NetworkAddress& address) {
  Descriptor fd(::socket(address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.open()) return system_error("cannot create a socket", errno);
  SystemAddress system = to_system(address);
  if (::connect(fd.get(), system.get(), system.bytes) != 0 && errno != EINPROGRESS && errno != EINTR) {
    return system_error(fmt::format("cannot connect to {}", address.text()), errno);
  }
  return fd;
}

void tune_tcp(int fd) {
  const int on = 1, idle = 1, every = 1, probes = kHostLostSeconds - idle;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

Rail rail_of(int fd) {
  SystemAddress own;
  own.bytes = sizeof own.storage;
  ifaddrs* list = nullptr;
  if (getsockname(fd, own.get(), &own.bytes) != 0 || getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
  const auto address = address_from_system(own.get());
  for (const ifaddrs* entry = list; address && entry; entry = entry->ifa_next) {
    const auto candidate = address_from_system(entry->ifa_addr);
    if (candidate && candidate->v6 == address->v6 && candidate->host == address->host)
      return {entry->ifa_name, (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_RUNNING) != 0};
  }
  return {};
}

}  // namespace hansa::bootstrap
