#include "bootstrap/identity.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/secret.hpp"

namespace hansa::bootstrap {
namespace {

std::string first_line_of(const char* path) {
  const control::Descriptor fd(::open(path, O_RDONLY | O_CLOEXEC));
  char text[128];
  const auto got = fd.open() ? ::read(fd.get(), text, sizeof text) : 0;
  std::string line(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  return line.substr(0, line.find('\n'));
}

std::string target_of(const char* link) {
  char text[128];
  const auto got = ::readlink(link, text, sizeof text);
  return std::string(text, got > 0 ? static_cast<std::size_t>(got) : 0);
}

struct RandomId {
  std::uint64_t value;
  RandomId() {
    const Key random = random_key();
    std::memcpy(&value, random.data(), sizeof value);
  }
};

}  // namespace

HostIdentity identify_host(const std::string& stand_in) {
  if (!stand_in.empty()) return {stand_in.substr(0, kMostName), stand_in.substr(0, kMostName)};
  char name[kMostName] = {};
  gethostname(name, sizeof name - 1);
  // Abstract sockets, user ids and process numbers mean the same in processes that share these namespaces.
  return {first_line_of("/proc/sys/kernel/random/boot_id") + " " + target_of("/proc/self/ns/net") + " " +
              target_of("/proc/self/ns/user") + " " + target_of("/proc/self/ns/pid"),
          name};
}

Process this_process(control::EventLoop& loop, const HostIdentity& host) {
  Process process;
  process.pid = getpid();
  loop.run([&] { process.id = loop.local<RandomId>().value; });
  process.host_name = host.name;
  return process;
}

}  // namespace hansa::bootstrap
