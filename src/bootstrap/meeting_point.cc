#include "bootstrap/meeting_point.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <memory>

#include "base/lists.hpp"
#include "base/trusted_file.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::size_t kMostSecret = 64 << 10, kMostHost = 253;

Status unusable(std::string_view text, std::string_view why) {
  return Status(Code::kInvalidArgument,
                fmt::format("NCCL_COMM_ID is '{}': {}; it must be HOST:PORT or [IPV6]:PORT", text, why));
}

}  // namespace

Result<Place> parse_place(std::string_view text) {
  Place place;
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : text.rfind(':');
  if (end == text.npos) return unusable(text, bracketed ? "a ] is missing" : "it has no port");
  place.host = text.substr(bracketed ? 1 : 0, bracketed ? end - 1 : end);
  std::string_view port = text.substr(end + (bracketed ? 1 : 0));
  if (!port.starts_with(':')) return unusable(text, "it has no port");
  port.remove_prefix(1);
  const auto [at, error] = std::from_chars(port.data(), port.data() + port.size(), place.port);
  if (error != std::errc() || at != port.data() + port.size() || place.port == 0)
    return unusable(text, "the port is no number from 1 to 65535");
  if (place.host.empty() || place.host.size() > kMostHost) return unusable(text, "it has no host");
  if (place.host.find('%') != place.host.npos)
    return unusable(text, "a link-local address is another one on each host");
  if (!bracketed && place.host.find_first_of(":[] \t") != place.host.npos)
    return unusable(text, "that is no name of a host");
  const auto digits = address_from_digits(place.host);
  if (bracketed && !(digits && digits->v6)) return unusable(text, "what is in [] is no IPv6 address");
  return place;
}

Result<NetworkAddress> resolve(const Place& place, int family) {
  std::optional<NetworkAddress> address = address_from_digits(place.host);
  if (!address) {
    addrinfo wanted{}, *list = nullptr;
    wanted.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
    wanted.ai_socktype = SOCK_STREAM;
    const int error = getaddrinfo(place.host.c_str(), nullptr, &wanted, &list);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, [](addrinfo* all) {
      if (all != nullptr) freeaddrinfo(all);
    });
    for (const addrinfo* one = list; error == 0 && one != nullptr && !address; one = one->ai_next)
      address = address_from_system(one->ai_addr);
    if (!address)
      return Status(Code::kInvalidArgument,
                    fmt::format("NCCL_COMM_ID names host '{}', which has no address that can be used: {}",
                                place.host, error == 0 ? "link-local only" : gai_strerror(error)));
  }
  address->port = place.port;
  return *address;
}

Result<std::string> read_secret(const std::string& setting) {
  if (!setting.starts_with('@')) return setting;
  const std::string path = setting.substr(1);
  HANSA_ASSIGN_OR_RETURN(const auto text, read_trusted_file(path, kMostSecret));
  const std::string word(trimmed(std::string_view(text ? *text : "").substr(0, text ? text->find('\n') : 0)));
  if (word.empty())
    return Status(Code::kInvalidUsage,
                  fmt::format("HANSA_SECRET names the file {}, which {}", path,
                              text ? "has nothing in its first line" : "does not exist"));
  return word;
}

}  // namespace hansa::bootstrap
