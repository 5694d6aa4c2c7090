// The provider that the rules are put in front of: libfabric's own `tcp;ofi_rxm`, found by path, so that it
// may bear the same name as the library that stands in for it.
#pragma once

#include <rdma/fabric.h>

#include <memory>

#include "tests/support/cxi_rules/settings.hpp"

namespace hansa::cxi_rules {

struct Library {
  // Null, with a line on stderr, where it does not load. Loaded once and for good.
  static const Library* load();

  decltype(&::fi_getinfo) getinfo = nullptr;
  decltype(&::fi_freeinfo) freeinfo = nullptr;
  decltype(&::fi_dupinfo) dupinfo = nullptr;
  decltype(&::fi_fabric) fabric = nullptr;
  decltype(&::fi_version) version = nullptr;
  decltype(&::fi_strerror) strerror = nullptr;
};

struct FreeInfo {
  void operator()(fi_info* info) const { Library::load()->freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, FreeInfo>;

inline constexpr char kProvider[] = "cxi";
inline constexpr char kDomain[] = "cxi0";  // the name of the one NIC
inline constexpr std::size_t kInjectSize = 192;
inline constexpr std::size_t kLongestMessage = 0xffffffff;
// What an endpoint can do here. The real one also has FI_MSG, FI_ATOMIC, FI_HMEM and counters.
inline constexpr std::uint64_t kCaps = FI_TAGGED | FI_RMA | FI_SEND | FI_RECV | FI_READ | FI_WRITE |
                                       FI_REMOTE_READ | FI_REMOTE_WRITE | FI_DIRECTED_RECV | FI_LOCAL_COMM |
                                       FI_REMOTE_COMM;

constexpr std::uint64_t tag_bits(const Settings& settings) { return settings.rnr ? 40 : 48; }
constexpr std::size_t inject_size(const Settings& settings) { return settings.rnr ? 0 : kInjectSize; }

// What the real provider offers for so many receives at a time; null with the negated error in `result`.
Info plain_info(const Settings& settings, std::size_t receives, int& result);

// fi_getinfo() as cxi answers it. -FI_ENODATA where the hints ask for what it does not have.
int answer(const char* node, const fi_info* hints, fi_info** info);

}  // namespace hansa::cxi_rules
