#include "transports/libfabric/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <vector>

#include "base/environment.hpp"
#include "base/signals.hpp"
#include "base/tcp_settings.hpp"
#include "transports/libfabric/slingshot.hpp"

namespace hansa::libfabric {
namespace {

// The same on 1.x and 2.x.
constexpr const char* kName = "libfabric.so.1";
constexpr std::uint32_t kOldest = FI_VERSION(1, 17);

template <class Function>
bool find(void* handle, const char* name, Function& into) {
  into = reinterpret_cast<Function>(dlsym(handle, name));
  return into != nullptr;
}

// Has no effect where libfabric is there already: it may have read the environment. The limit in force.
std::uint32_t adopt_tcp_settings() {
  static const std::uint32_t limit = [] {
    if (void* const handle = dlopen(kName, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) {
      dlclose(handle);
    } else {
      std::vector<Assignment> additions;
      for (const TcpSetting& one : tcp_settings()) additions.push_back({one.name, one.value});
      supplement_environment(additions);
    }
    const char* const set = process_environment()(kRxmEagerLimit);
    return set == nullptr ? kRxmEagerDefault : static_cast<std::uint32_t>(std::strtoul(set, nullptr, 0));
  }();
  return limit;
}

}  // namespace

Result<std::shared_ptr<const Library>> Library::load() {
  // Providers read the environment when the library starts.
  adopt_slingshot_settings();
  const std::uint32_t eager_limit = adopt_tcp_settings();
  const HandlersKept handlers;  // of its providers' libraries, libinfinipath sets some that end the program
  void* const handle = dlopen(kName, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    return Status(
        Code::kUnsupported,
        fmt::format("{} does not load ({}); install libfabric (Debian: libfabric1)", kName, dlerror()));
  }
  auto library = std::make_shared<Library>();
  library->eager_limit = eager_limit;
  const bool complete =
      find(handle, "fi_getinfo", library->getinfo) && find(handle, "fi_freeinfo", library->freeinfo) &&
      find(handle, "fi_dupinfo", library->dupinfo) && find(handle, "fi_fabric", library->fabric) &&
      find(handle, "fi_version", library->version) && find(handle, "fi_strerror", library->strerror);
  dlclose(handle);  // the count only: it stays, see RTLD_NODELETE
  if (!complete)
    return Status(Code::kUnsupported, fmt::format("{} lacks a function of libfabric's interface", kName));
  if (FI_VERSION_LT(library->version(), kOldest)) {
    return Status(Code::kUnsupported,
                  fmt::format("{} is version {}.{}, 1.17 or later is needed", kName,
                              FI_MAJOR(library->version()), FI_MINOR(library->version())));
  }
  return std::shared_ptr<const Library>(std::move(library));
}

}  // namespace hansa::libfabric
