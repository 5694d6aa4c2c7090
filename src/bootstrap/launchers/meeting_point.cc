#include "bootstrap/launchers/meeting_point.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

#include "bootstrap/launchers/environment.hpp"

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;

// One connection, from asking for it to the last byte. More than a rank 0 that is alive needs.
constexpr milliseconds kEncounter{5000};
constexpr milliseconds kFirstPause{20}, kLongestPause{500};

std::optional<NetworkAddress> to_address(const sockaddr* system, std::uint16_t port) {
  NetworkAddress address;
  address.port = port;
  if (system->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, system, sizeof v4);
    std::memcpy(address.host.data(), &v4.sin_addr, 4);
    return address;
  }
  if (system->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6;
  std::memcpy(&v6, system, sizeof v6);
  address.v6 = true;
  address.scope = v6.sin6_scope_id;
  std::memcpy(address.host.data(), &v6.sin6_addr, 16);
  return address;
}

bool is_loopback(const NetworkAddress& address) {
  if (!address.v6) return address.host[0] == std::byte{127};
  std::array<std::byte, 16> one{};
  one[15] = std::byte{1};
  return address.host == one;
}

bool is_number(const std::string& host) {
  std::array<std::byte, 16> bytes;
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

Result<Stream> connect(const NetworkAddress& address, Deadline until) {
  HANSA_ASSIGN_OR_RETURN(control::Descriptor fd, connect_tcp(address));
  pollfd entry{fd.get(), POLLOUT, 0};
  int ready = 0;
  do {
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return Status(Code::kRemote, "no connection in time");
  int error = 0;
  socklen_t bytes = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
  if (error != 0) return control::system_error("no connection", error);
  tune_tcp(fd.get());
  return Stream(std::move(fd));
}

}  // namespace

Result<MeetingPoint> find_meeting_point(const Lookup& lookup) {
  const std::string host = text_of(lookup, "MASTER_ADDR");
  if (host.empty())
    return Status(Code::kInvalidUsage,
                  "RANK and WORLD_SIZE are set, but MASTER_ADDR is not, so the ranks cannot meet; set "
                  "MASTER_ADDR and MASTER_PORT to where rank 0 runs, or unset RANK to run alone");
  HANSA_ASSIGN_OR_RETURN(const std::int64_t port, number_of(lookup, "MASTER_PORT", 1, 65535));
  MeetingPoint point;
  const bool v6_number = host.find(':') != std::string::npos;
  point.name = v6_number ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  point.here_only = host == "localhost" || is_number(host);

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0)
    return Status(Code::kSystem, fmt::format("MASTER_ADDR={} does not lead anywhere: {}; set it to the "
                                             "name or address of rank 0's host",
                                             host, gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, freeaddrinfo);
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (const auto address = to_address(entry->ai_addr, static_cast<std::uint16_t>(port)))
      point.addresses.push_back(*address);
  }
  if (point.addresses.empty())
    return Status(Code::kSystem, fmt::format("MASTER_ADDR={} has no IP address; set it to the name or "
                                             "address of rank 0's host",
                                             host));
  std::stable_partition(point.addresses.begin(), point.addresses.end(),
                        [](const NetworkAddress& address) { return !address.v6; });
  return point;
}

NetworkAddress listening_address(const MeetingPoint& point) {
  NetworkAddress address = point.addresses.front();
  if (!point.here_only && is_loopback(address)) address.host = {};
  return address;
}

Status meet(const MeetingPoint& point, Deadline deadline,
            const std::function<Encounter(Stream stream, Deadline until)>& encounter) {
  milliseconds pause = kFirstPause;
  std::string last = "nobody listens there";
  for (;;) {
    for (const NetworkAddress& address : point.addresses) {
      const Deadline until = std::min(deadline, deadline_in(kEncounter));
      auto stream = connect(address, until);
      if (!stream.ok()) {
        // The others are often there in name only.
        if (&address == &point.addresses.front()) last = stream.status().message();
        continue;
      }
      const Encounter met = encounter(std::move(stream).value(), until);
      if (met.status.ok() || !met.again) return met.status;
      last = met.status.message();
    }
    if (std::chrono::steady_clock::now() + pause >= deadline) return Status(Code::kRemote, last);
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace hansa::bootstrap
