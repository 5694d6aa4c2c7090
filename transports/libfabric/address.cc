#include "transports/libfabric/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "hansa/transport.hpp"

namespace hansa::libfabric {
namespace {

constexpr std::uint32_t kMagic = 0x35494648;  // "HFI5"
constexpr std::size_t kLongestName = 512;

// As it travels; ranks of other endianness are refused by the magic number.
struct Wire {
  std::uint32_t magic;
  std::uint32_t name_bytes;
  std::uint64_t loopback;
  std::uint64_t communicator;
  std::uint64_t port;
  std::uint32_t slot_bytes;
  std::uint32_t slots;
  std::uint32_t lanes;
  std::uint32_t provider;
  std::uint32_t number;
  std::uint32_t sender;
  std::uint32_t freight_lanes;
  std::uint32_t eager_limit;
};

std::uint64_t mix(std::uint64_t hash, std::string_view text) {  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}
constexpr std::uint64_t kUnmixed = 0xcbf29ce484222325u;

std::string numeric(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    // A link-local address means nothing without its interface, which the provider's blob does not carry.
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (!IN6_IS_ADDR_LINKLOCAL(&ip)) inet_ntop(AF_INET6, &ip, text, sizeof text);
  }
  return text;
}

bool is_numeric(const std::string& text) {
  in6_addr any;
  return inet_pton(AF_INET, text.c_str(), &any) == 1 || inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

}  // namespace

Result<std::string> resolve_interface(std::string_view interface) {
  if (interface.empty()) return std::string("127.0.0.1");
  const std::string wanted(interface);
  if (is_numeric(wanted)) return wanted;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return Status(Code::kSystem, fmt::format("getifaddrs() failed: {}", std::strerror(errno)));
  }
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  std::string found, present;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const std::string address = numeric(entry->ifa_addr);
    if (address.empty()) continue;
    present += fmt::format(" {} ({})", entry->ifa_name, address);
    const bool better =
        found.empty() || (entry->ifa_addr->sa_family == AF_INET && found.find(':') != found.npos);
    if (wanted == entry->ifa_name && better) found = address;
  }
  if (!found.empty()) return found;
  return Status(Code::kUnsupported,
                fmt::format("no interface {} with an address is up; there are:{}", wanted, present));
}

std::string fabric_device(std::string_view numeric_address) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || numeric(entry->ifa_addr) != numeric_address) continue;
    std::error_code error;
    const auto devices = fmt::format("/sys/class/net/{}/device/cxi", entry->ifa_name);
    for (std::filesystem::directory_iterator at(devices, error), end; !error && at != end;
         at.increment(error))
      return at->path().filename().string();
  }
  return {};
}

bool is_loopback(std::string_view numeric_address) {
  return numeric_address.starts_with("127.") || numeric_address == "::1";
}

std::uint64_t loopback_identity() {
  // A boot of a kernel and a network namespace of it have one loopback interface.
  char text[64] = "";
  if (std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re")) {
    if (std::fgets(text, sizeof text, file) == nullptr) text[0] = 0;
    std::fclose(file);
  }
  struct stat space {};
  if (stat("/proc/self/ns/net", &space) != 0) space.st_ino = 0;
  return mix(kUnmixed ^ static_cast<std::uint64_t>(space.st_ino), text) | 1;  // never 0
}

std::uint32_t provider_identity(std::string_view name) {
  return static_cast<std::uint32_t>(mix(kUnmixed, name) >> 32);
}

std::vector<std::byte> Address::encode() const {
  const Wire wire{kMagic,     static_cast<std::uint32_t>(name.size()),
                  loopback,   communicator,
                  port,       slot_bytes,
                  slots,      lanes,
                  provider,   number,
                  sender,     freight_lanes,
                  eager_limit};
  std::vector<std::byte> bytes(sizeof wire + name.size());
  std::memcpy(bytes.data(), &wire, sizeof wire);
  if (!name.empty()) std::memcpy(bytes.data() + sizeof wire, name.data(), name.size());
  return bytes;
}

Result<Address> Address::decode(BytesView bytes) {
  Wire wire;
  if (bytes.size() < sizeof wire) return Status(Code::kInvalidArgument, "a libfabric address is cut off");
  std::memcpy(&wire, bytes.data(), sizeof wire);
  const BytesView name = bytes.subspan(sizeof wire);
  if (wire.magic != kMagic || wire.name_bytes != name.size() || name.empty() || name.size() > kLongestName ||
      wire.lanes > 0xffff || wire.number >= 1u << MessageId::kReceiverBits || wire.sender > 0xff ||
      wire.freight_lanes > 0xff) {
    return Status(Code::kInvalidArgument, "not a libfabric address of this build");
  }
  return Address{.loopback = wire.loopback,
                 .slot_bytes = wire.slot_bytes,
                 .slots = wire.slots,
                 .communicator = wire.communicator,
                 .port = wire.port,
                 .lanes = static_cast<std::uint16_t>(wire.lanes),
                 .provider = wire.provider,
                 .number = static_cast<std::uint16_t>(wire.number),
                 .sender = static_cast<std::uint8_t>(wire.sender),
                 .freight_lanes = static_cast<std::uint8_t>(wire.freight_lanes),
                 .eager_limit = wire.eager_limit,
                 .name = {name.begin(), name.end()}};
}

}  // namespace hansa::libfabric
